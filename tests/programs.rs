//! The library's programs, run by the name that they have: without a prompt, and without a checkout.

mod desk;

use desk::Desk;

#[test]
fn decompose_fills_a_store_that_a_script_opens() {
    let script = "let c = Contributions::open(\"run.zarr\")?;\n\
                  println!(\"{} images, {} chunks, tokens: {}\", c.images(), c.chunks(), c.has_tokens());\n";
    let desk = Desk::new(&[("script.rs", script)]);
    let arguments = |shard| {
        let fixed = "decompose --model tiny_vit --data generated:3:20 --out run.zarr --granularity tokens --chunk 8 --shard";
        let words = fixed.split(' ').chain([shard]);
        words.collect::<Vec<&str>>()
    };
    desk.run(&arguments("0/2"))
        .ends_with(0)
        .says("run.zarr, shard 0/2: 8 images finished, 8 of them now");
    let missing = desk.run(&["script.rs"]);
    missing
        .ends_with(1)
        .complains("12 of 20 images are missing (8 to 19)");
    desk.run(&arguments("1/2")).ends_with(0);
    desk.run(&arguments("1/2"))
        .ends_with(0)
        .says("0 of them now");
    desk.run(&["script.rs"])
        .ends_with(0)
        .says("20 images, 3 chunks, tokens: true");
}

#[test]
fn programs_are_listed_and_say_what_they_take() {
    let desk = Desk::new(&[("train", "println!(\"a script by that name\");")]);
    desk.run(&["--help"])
        .ends_with(0)
        .says("Programs of the library (vitrepl NAME --help): decompose, train");
    desk.run(&["decompose", "--help"])
        .ends_with(0)
        .says("Usage: vitrepl decompose [OPTIONS] --model");
    desk.run(&["decompose", "--shard", "3/3"])
        .ends_with(2)
        .complains("0/8");
    // A file comes first, as elsewhere.
    desk.run(&["train"])
        .ends_with(0)
        .says("a script by that name");
}
