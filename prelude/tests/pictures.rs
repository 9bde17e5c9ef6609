//! Files that are no whole pictures, and those that only look so: what Pillow takes for cut off is unreadable, JPEG has
//! libjpeg-turbo's values, and nothing large is made for what a header claims.

use image::RgbImage;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vitrepl_prelude::data::ahead::{Loading, each_batch};
use vitrepl_prelude::data::{
    CropMode, DataSet, FolderSet, GeneratedSet, GeneratedSpec, Interpolation, ModelInput,
    OnUnreadable, Preprocess, SegmentationSet, TarSet,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(pictures().join(name)).unwrap()
}

/// The stored picture without any resampling in a square of `side`.
fn framed(side: u32) -> ModelInput {
    let preprocess = Preprocess {
        crop: 1.,
        mode: CropMode::Border,
        interpolation: Interpolation::Nearest,
        ..Preprocess::default()
    };
    ModelInput::new(side as usize, preprocess)
}

/// A folder with one file of each of `contents`.
fn folder(contents: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in contents {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Each of `contents` as the image of a sample of its own, by its number.
fn samples(contents: &[Vec<u8>], ending: &str) -> (tempfile::TempDir, TarSet) {
    let mut builder = tar::Builder::new(Vec::new());
    for (i, bytes) in contents.iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        let name = format!("{i}.{ending}");
        builder
            .append_data(&mut header, name, bytes.as_slice())
            .unwrap();
    }
    let archive = builder.into_inner().unwrap();
    let folder = folder(&[("all.tar", &archive)]);
    let set = TarSet::open(folder.path(), OnUnreadable::Fail).unwrap();
    (folder, set)
}

/// What is said of the one picture `bytes` in a file called `name`.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let folder = folder(&[(name, bytes)]);
    let set = FolderSet::open(folder.path(), OnUnreadable::Fail).unwrap();
    let message = match set.pixels(&[0], 32.into()) {
        Ok(_) => panic!("{name} is read"),
        Err(error) => error.to_string(),
    };
    assert!(
        message.contains(name) && message.contains("cannot be read as an image"),
        "{message}"
    );
    let skipping = FolderSet::open(folder.path(), OnUnreadable::Skip);
    assert!(skipping.is_err(), "{name} is left out");
    message
}

#[test]
fn jpeg_has_libjpeg_turbos_values() -> Result {
    let mut checked = 0;
    for entry in std::fs::read_dir(pictures())? {
        let path = entry?.path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".jpg") {
            continue;
        }
        let pillow = image::open(pictures().join(format!("pillow/{name}.png")))?.to_rgb8();
        let side = pillow.width().max(pillow.height());
        let folder = folder(&[(&name, &std::fs::read(&path)?)]);
        let set = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
        let ours = set.pixels(&[0], framed(side))?.get(0)?.permute((1, 2, 0))?;
        let ours = (ours * 255.)?.round()?.flatten_all()?.to_vec1::<f32>()?;
        let ours: Vec<u8> = ours.into_iter().map(|v| v as u8).collect();
        let pillow = framed(side).preprocess.apply(&pillow, side as usize);
        assert!(
            ours == *pillow.as_raw(),
            "{name} is not what Pillow makes of it"
        );
        checked += 1;
    }
    // Baseline and progressive, 4:4:4, 4:2:2 and 4:2:0, grey, four channels, restart markers, odd sizes, turned.
    assert!(checked >= 16, "{checked}");
    Ok(())
}

#[test]
fn a_cut_off_picture_is_unreadable_as_pillow_has_it() -> Result {
    // Of each file its length, and the shortest beginning that Pillow reads.
    let cuts: BTreeMap<String, [usize; 2]> = serde_json::from_slice(&read("cuts.json"))?;
    for (name, [whole, shortest]) in cuts {
        let bytes = read(&name);
        assert_eq!(bytes.len(), whole, "{name}");
        let lengths: Vec<usize> = (0..=whole)
            .filter(|&n| n % 5 == 0 || n + 40 > whole)
            .collect();
        let contents: Vec<_> = lengths.iter().map(|&n| bytes[..n].to_vec()).collect();
        let ending = name.rsplit('.').next().unwrap();
        let (_folder, set) = samples(&contents, ending);
        let pixels = |i: usize| set.pixels(&[i], framed(96));
        let complete = pixels(lengths.len() - 1)?;
        for (i, &length) in lengths.iter().enumerate() {
            match pixels(i) {
                Ok(pixels) => {
                    assert!(
                        length >= shortest,
                        "{name}: {length} of {whole} bytes are read"
                    );
                    let apart = (pixels - &complete)?.abs()?.max_all()?.to_scalar::<f32>()?;
                    assert_eq!(
                        apart, 0.,
                        "{name}: {length} of {whole} bytes give another picture"
                    );
                }
                Err(error) => {
                    // Of a PNG whose rows are whole Pillow does not ask for the rest; we do.
                    let refused = length < shortest || (ending == "png" && length < whole);
                    assert!(refused, "{name}: {length} of {whole} bytes: {error}");
                    assert!(error.to_string().contains(&format!("sample {i}")));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn fail_names_a_cut_off_jpeg_and_skip_leaves_it_out() -> Result {
    for name in ["photo.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"] {
        let whole = read(name);
        let cut = &whole[..whole.len() * 4 / 5];
        let folder = folder(&[("a.jpg", &whole), ("b.jpg", cut)]);
        let set = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
        let error = set.pixels(&[0, 1], 32.into()).unwrap_err().to_string();
        assert!(
            error.contains("b.jpg") && error.contains("cut off"),
            "{error}"
        );
        let set = FolderSet::open(folder.path(), OnUnreadable::Skip)?;
        assert_eq!((set.len(), set.skipped().len()), (1, 1));
        assert!(set.skipped()[0].to_string().contains("cut off"));
    }
    Ok(())
}

#[test]
fn what_libjpeg_would_make_up_is_refused() {
    for name in ["photo.jpg", "progressive.jpg", "grey.jpg", "half.jpg"] {
        let whole = read(name);
        // An end marker behind the cut: Pillow goes on with grey.
        let mut ended = whole[..whole.len() * 4 / 5].to_vec();
        ended.extend([0xff, 0xd9]);
        let message = refusal("ended.jpg", &ended);
        let damaged = message.contains("damaged") || message.contains("cut off");
        assert!(damaged, "{name}: {message}");
        // A download that reserved its place: zeros in the second half.
        let mut zeros = whole.clone();
        zeros[whole.len() * 4 / 5..].fill(0);
        refusal("zeros.jpg", &zeros);
    }
}

#[test]
fn bytes_behind_a_picture_do_no_harm() -> Result {
    for name in ["photo.jpg", "progressive.jpg", "alpha.png", "lossy.webp"] {
        let whole = read(name);
        let mut longer = whole.clone();
        longer.extend(b"what a camera or a server leaves behind");
        if name == "photo.jpg" {
            // Padding before the end marker.
            longer.splice(whole.len() - 2..whole.len() - 2, [0; 9]);
        }
        let folder = folder(&[("a.jpg", &whole), ("b.jpg", &longer)]);
        let set = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
        let pixels = set.pixels(&[0, 1], framed(96))?;
        let apart = (pixels.get(0)? - pixels.get(1)?)?.abs()?.max_all()?;
        assert_eq!(apart.to_scalar::<f32>()?, 0., "{name}");
    }
    Ok(())
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut png = read("rgb16.png");
    // The last byte of the checksum of the pixels, before the chunk that ends the file.
    let at = png.len() - 13;
    png[at] ^= 1;
    refusal("sum.png", &png);
}

#[test]
fn no_broken_byte_stops_the_session() {
    for (name, ending) in [
        ("photo.jpg", "jpg"),
        ("progressive.jpg", "jpg"),
        ("cmyk.jpg", "jpg"),
        ("half.jpg", "jpg"),
        ("palette.png", "png"),
        ("lossy.webp", "webp"),
        ("turned6.webp", "webp"),
    ] {
        let whole = read(name);
        let broken: Vec<_> = (0..whole.len())
            .map(|at| {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x55;
                bytes
            })
            .collect();
        let (_folder, set) = samples(&broken, ending);
        let mut refused = 0;
        for i in 0..broken.len() {
            if let Err(error) = set.pixels(&[i], 16.into()) {
                let message = error.to_string();
                assert!(message.contains(&format!("sample {i}:")), "{message}");
                refused += 1;
            }
        }
        assert!(refused > 20, "{name}: {refused}");
    }
}

/// Bytes of a picture that claims to be `w` x `h` large.
fn claiming(name: &str, (w, h): (u32, u32)) -> Vec<u8> {
    let mut bytes = read(name);
    match name.rsplit('.').next() {
        Some("png") => {
            bytes[16..20].copy_from_slice(&w.to_be_bytes());
            bytes[20..24].copy_from_slice(&h.to_be_bytes());
            let sum = crc(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        }
        Some("jpg") => {
            let frame = bytes
                .windows(2)
                .position(|m| m == [0xff, 0xc0] || m == [0xff, 0xc2]);
            let at = frame.unwrap() + 5;
            bytes[at..at + 2].copy_from_slice(&(h as u16).to_be_bytes());
            bytes[at + 2..at + 4].copy_from_slice(&(w as u16).to_be_bytes());
        }
        _ => {
            // VP8L: 14 bits of width less 1, 14 of height less 1 behind the signature.
            let at = bytes.windows(4).position(|c| c == b"VP8L").unwrap() + 9;
            let size = (w - 1) | ((h - 1) << 14);
            let alpha = bytes[at + 3] & 0xf0;
            bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
            bytes[at + 3] = (bytes[at + 3] & 0x0f) | alpha;
        }
    }
    bytes
}

/// The checksum of PNG.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

#[test]
fn absurd_sizes_are_refused_by_the_header() {
    for (name, size) in [
        ("alpha.png", (65_535, 65_535)),
        ("palette.png", (2_000_000_000, 3)),
        ("rgb16.png", (13_378, 13_378)),
        ("photo.jpg", (65_500, 65_500)),
        ("progressive.jpg", (65_500, 65_500)),
        ("grey.jpg", (40_000, 5_000)),
        ("lossless_alpha.webp", (16_383, 16_383)),
    ] {
        let start = std::time::Instant::now();
        let message = refusal(name, &claiming(name, size));
        let expected = [
            &format!("{} x {} pixels", size.0, size.1),
            "178956970",
            "scale it down",
        ];
        for part in expected {
            assert!(message.contains(part), "{message}");
        }
        assert!(start.elapsed().as_secs_f64() < 1., "{name}");
    }
    let message = refusal("none.png", &claiming("alpha.png", (0, 5)));
    println!("{message}");
}

#[test]
fn absurd_batches_are_refused() -> Result {
    let (_folder, set) = samples(&[read("photo.jpg")], "jpg");
    let message = set
        .pixels(&vec![0; 400], 4096.into())
        .unwrap_err()
        .to_string();
    for part in [
        "images at once = 400",
        "at most 85 of 4096 x 4096",
        "set_loading",
    ] {
        assert!(message.contains(part), "{message}");
    }
    // Batches that are decoded ahead count together.
    let many = GeneratedSet::new(GeneratedSpec::unbiased(1, 1_000_000))?;
    let loading = Loading {
        batch: 65_536,
        ahead: 1024,
        ..Loading::default()
    };
    let none = |_, _| -> vitrepl_prelude::Result<_> { panic!("a batch was made") };
    let ended = each_batch(&many, 0..1_000_000, 224.into(), loading, &|| true, Ok, none);
    let message = ended.unwrap_err().to_string();
    assert!(
        message.contains("images at once = 1000000") && message.contains("set_loading"),
        "{message}"
    );
    let crop = Preprocess {
        crop: 1e-6,
        ..Preprocess::default()
    };
    let message = set.pixels(&[0], ModelInput::new(224, crop)).unwrap_err();
    assert!(message.to_string().contains("crop ="), "{message}");
    Ok(())
}

#[test]
fn what_a_file_is_instead_is_said() {
    let cases: [(&[u8], &str); 14] = [
        (
            b"GIF89a\x01\0\x01\0",
            "it is a GIF, which is not read; convert it to PNG, JPEG or WebP",
        ),
        (b"BM\x36\0\0\0", "a BMP"),
        (b"II*\0\x08\0\0\0", "a TIFF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIF"),
        (b"P6\n2 2\n255\n", "a PNM"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        (b"%PDF-1.4", "a PDF"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
            "git lfs pull",
        ),
        (b"", "it is empty"),
        (b"\0\0\0\0\0\0\0\0", "all zeros"),
        (b"\x1f\x8b\x08\0", "compressed with gzip"),
        (b"no picture", "no PNG, JPEG or WebP"),
    ];
    for (bytes, expected) in cases {
        let message = refusal("a.jpg", bytes);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn borders_split_odd_bars_as_open_clip_and_timm_do() {
    // 640 x 427 to 224: 149 rows, 37 above and 38 below.
    let picture = RgbImage::from_pixel(640, 427, image::Rgb([200; 3]));
    let border = Preprocess {
        crop: 1.,
        mode: CropMode::Border,
        fill: [0; 3],
        ..Preprocess::default()
    };
    let bars = |picture: &RgbImage| {
        let framed = border.apply(picture, 224);
        let lit: Vec<_> = (0..224)
            .map(|y| framed.get_pixel(112, y).0[0] == 200)
            .collect();
        let above = lit.iter().take_while(|lit| !**lit).count();
        let below = lit.iter().rev().take_while(|lit| !**lit).count();
        (above, below)
    };
    assert_eq!(bars(&picture), (37, 38));
    let lower = RgbImage::from_pixel(640, 424, image::Rgb([200; 3]));
    assert_eq!(bars(&lower), (38, 38));
    let one = RgbImage::from_pixel(224, 223, image::Rgb([200; 3]));
    assert_eq!(bars(&one), (0, 1));
}

#[test]
fn a_picture_that_changes_under_an_open_set_is_not_read() -> Result {
    let folder = folder(&[("a.jpg", &read("photo.jpg"))]);
    let set = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
    set.pixels(&[0], 16.into())?;
    std::fs::write(folder.path().join("a.jpg"), read("progressive.jpg"))?;
    let error = set.pixels(&[0], 16.into()).unwrap_err().to_string();
    assert!(
        error.contains("a.jpg") && error.contains("open the set again"),
        "{error}"
    );
    let again = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
    again.pixels(&[0], 16.into())?;
    assert_ne!(again.key(), set.key());
    Ok(())
}

/// The inputs that users have stumbled over, where they are beside the checkout.
#[test]
fn the_trials_pictures_come_out_right() -> Result {
    let trials = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/trials/pictures");
    if !trials.exists() {
        println!("{} is not there", trials.display());
        return Ok(());
    }
    let cut = FolderSet::open(trials.join("cut_jpeg"), OnUnreadable::Fail)?;
    for i in 0..cut.len() {
        let error = cut.pixels(&[i], 32.into()).unwrap_err().to_string();
        assert!(error.contains("cut off"), "{error}");
    }
    assert!(FolderSet::open(trials.join("cut_jpeg"), OnUnreadable::Skip).is_err());
    let turned = trials.join("exif_mask/rect_6_jpg_stored");
    let set = SegmentationSet::open(
        turned.join("images"),
        turned.join("masks"),
        OnUnreadable::Fail,
    )?;
    for upright in [true, false] {
        let preprocess = Preprocess {
            upright,
            ..framed(64).preprocess
        };
        let input = ModelInput::new(64, preprocess);
        let mask = set.masks(&[0], input)?.flatten_all()?.to_vec1::<u8>()?;
        // What is labelled is white, the rest dark.
        let pixels = set.pixels(&[0], input)?.get(0)?.get(0)?;
        let pixels = pixels.flatten_all()?.to_vec1::<f32>()?;
        let pairs = mask.iter().zip(&pixels);
        let apart = pairs.filter(|(label, value)| (**label > 0) != (**value > 0.5));
        assert_eq!(apart.count(), 0, "upright {upright}");
        assert!(mask.contains(&1));
    }
    Ok(())
}
