use super::desk::{Desk, SIDE, generated, refused, shows, whole};
use image::{GrayImage, Luma};
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, ModelInput, OnUnreadable, Preprocess, SegmentationSet};

fn open(desk: &Desk) -> Result<SegmentationSet> {
    SegmentationSet::open(desk.path("images"), desk.path("masks"), OnUnreadable::Fail)
}

/// Two images with the generated set's own masks.
fn desk() -> Desk {
    let desk = Desk::with(&["images/n1/a.png", "images/n2/b.png"]);
    for (index, file) in ["masks/n1/a.png", "masks/n2/b.png"].iter().enumerate() {
        let drawn = generated().draw(index, SIDE).mask;
        save(&desk, file, SIDE as u32, |x, y| {
            drawn[y as usize * SIDE + x as usize]
        });
    }
    desk
}

fn save(desk: &Desk, file: &str, side: u32, label: impl Fn(u32, u32) -> u8) {
    let path = desk.write(file, "");
    GrayImage::from_fn(side, side, |x, y| Luma([label(x, y)]))
        .save(path)
        .unwrap();
}

#[test]
fn masks_follow_their_images() -> Result<()> {
    let desk = desk();
    let set = open(&desk)?;
    shows(&set, &[0, 1])?;
    assert_eq!(set.labels("class")?.names, ["n1", "n2"]);
    let read = set.masks(&[1, 0], whole())?.to_vec3::<u8>()?;
    let drawn = generated().masks(&[1, 0], whole())?.to_vec3::<u8>()?;
    assert_eq!(read, drawn);
    // A part, in its own order.
    let part = set.subset(&[1])?;
    assert_eq!(part.masks(&[0], whole())?.to_vec3::<u8>()?[0], drawn[0]);
    refused(part.masks(&[1], whole()), &["image 1 does not exist"]);
    refused(generated().masks(&[], whole()), &["empty list"]);
    Ok(())
}

#[test]
fn masks_are_cropped_as_their_images_are() -> Result<()> {
    // 40 x 20: the left half is 1, the middle stripe 7 pixels of 2.
    let desk = Desk::new();
    let label = |x: u32| {
        if (16..23).contains(&x) {
            2
        } else {
            u8::from(x < 16)
        }
    };
    let image = image::RgbImage::from_fn(40, 20, |x, _| image::Rgb([100 * label(x); 3]));
    image.save(desk.write("images/a.png", "")).unwrap();
    let mask = GrayImage::from_fn(40, 20, |x, _| Luma([label(x)]));
    mask.save(desk.write("masks/a.png", "")).unwrap();
    let nearest = Preprocess {
        crop: 0.9,
        interpolation: vitrepl_prelude::data::Interpolation::Nearest,
        ..Preprocess::default()
    };
    let set = open(&desk)?;
    for size in [10, 18, 33] {
        let input = ModelInput::new(size, nearest);
        let mask = set.masks(&[0], input)?.to_vec3::<u8>()?.concat().concat();
        let pixels = set
            .pixels(&[0], input)?
            .get(0)?
            .get(0)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let labels: Vec<_> = pixels.iter().map(|v| (v * 2.55).round() as u8).collect();
        assert_eq!(mask, labels, "size {size}");
        assert!(mask.contains(&1) && mask.contains(&2) && mask.contains(&0));
    }
    Ok(())
}

#[test]
fn palettes_and_small_depths_are_labels_as_stored() -> Result<()> {
    let desk = desk();
    let write = |file: &str, colour, depth, rows: &[u8]| {
        let path = desk.write(file, "");
        let mut encoder = png::Encoder::new(
            std::fs::File::create(path).unwrap(),
            SIDE as u32,
            SIDE as u32,
        );
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == png::ColorType::Indexed {
            encoder.set_palette((0..=255).flat_map(|v| [v, 255 - v, 7]).collect::<Vec<u8>>());
        }
        encoder
            .write_header()
            .unwrap()
            .write_image_data(rows)
            .unwrap();
    };
    let indices: Vec<u8> = (0..SIDE * SIDE).map(|p| (p % 200) as u8).collect();
    write(
        "masks/n1/a.png",
        png::ColorType::Indexed,
        png::BitDepth::Eight,
        &indices,
    );
    write(
        "masks/n2/b.png",
        png::ColorType::Grayscale,
        png::BitDepth::One,
        &[0b1100_0001; SIDE * SIDE / 8],
    );
    let masks = open(&desk)?.masks(&[0, 1], whole())?.to_vec3::<u8>()?;
    assert_eq!(masks[0].concat(), indices);
    assert_eq!(masks[1][3][..8], [1, 1, 0, 0, 0, 0, 0, 1]);
    Ok(())
}

#[test]
fn pairs_must_be_whole() {
    let changed = |change: &dyn Fn(&Desk)| {
        let desk = desk();
        change(&desk);
        (open(&desk), desk)
    };
    let remove =
        |file: &'static str| move |desk: &Desk| std::fs::remove_file(desk.path(file)).unwrap();
    let (set, _desk) = changed(&remove("masks/n2/b.png"));
    refused(set, &["images/n2/b.png has no mask of its name"]);
    let (set, _desk) = changed(&remove("images/n1/a.png"));
    refused(set, &["masks/n1/a.png has no image of its name"]);
    let (set, _desk) = changed(&|desk| save(desk, "masks/n1/a.png", 31, |_, _| 0));
    refused(set, &["masks/n1/a.png", "31 x 31", "32 x 32"]);
    let (set, _desk) = changed(&|desk| drop(desk.write("masks/n1/a.png", "no picture")));
    refused(set, &["masks/n1/a.png", "cannot be read as an image"]);
    let (set, _desk) = changed(&|desk| desk.picture("masks/n1/a.png", 0));
    let masks = set.unwrap().masks(&[0], whole());
    refused(masks, &["masks/n1/a.png", "Rgb", "grey or palette PNG"]);
    let (set, _desk) = changed(&|desk| std::fs::remove_dir_all(desk.path("masks")).unwrap());
    refused(set, &["masks", "check the path"]);
    let (set, _desk) = changed(&|desk| {
        std::fs::remove_dir_all(desk.path("masks")).unwrap();
        std::fs::create_dir(desk.path("masks")).unwrap();
    });
    refused(set, &["no mask in"]);
    refused(
        Desk::with(&["images/a.png"]).folder().masks(&[0], whole()),
        &["it has no masks", "SegmentationSet::open"],
    );
}

#[test]
fn the_mask_of_a_skipped_image_is_left_out() -> Result<()> {
    let desk = desk();
    desk.write("images/n1/a.png", "\x7f");
    let set = SegmentationSet::open(desk.path("images"), desk.path("masks"), OnUnreadable::Skip)?;
    assert_eq!((set.len(), set.skipped().len()), (1, 1));
    assert!(set.mask_files()[0].ends_with("n2/b.png"));
    Ok(())
}

/// A 6 x 4 picture that is red where its mask is 1, turned by EXIF as `orientation` says; the mask is as `shown`.
fn turned(desk: &Desk, name: &str, (w, h): (u32, u32), orientation: u8, shown: bool) {
    let label = |x: u32, y: u32| u8::from(x < 3 && y < 2);
    let mut stored =
        image::DynamicImage::ImageLuma8(GrayImage::from_fn(w, h, |x, y| Luma([label(x, y)])));
    let rgb = image::RgbImage::from_fn(w, h, |x, y| image::Rgb([255 * label(x, y), 0, 0]));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, w, h);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    // One entry: the orientation, a short.
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    writer.write_chunk(png::chunk::eXIf, &exif).unwrap();
    writer.write_image_data(rgb.as_raw()).unwrap();
    writer.finish().unwrap();
    desk.write(&format!("images/{name}.png"), bytes);
    if shown {
        let turn = image::metadata::Orientation::from_exif(orientation).unwrap();
        stored.apply_orientation(turn);
    }
    let path = desk.write(&format!("masks/{name}.png"), "");
    stored.save(path).unwrap();
}

/// Whether the masks of all images of `set` lie on their red parts.
fn fits(set: &dyn DataSet, upright: bool) -> Result<Vec<bool>> {
    let preprocess = Preprocess {
        crop: 1.,
        mode: vitrepl_prelude::data::CropMode::Squash,
        interpolation: vitrepl_prelude::data::Interpolation::Nearest,
        upright,
        ..Preprocess::default()
    };
    let fits = |i: usize| {
        let input = ModelInput::new(24, preprocess);
        let mask = set.masks(&[i], input)?.flatten_all()?.to_vec1::<u8>()?;
        let red = set.pixels(&[i], input)?.get(0)?.get(0)?;
        let red = red.flatten_all()?.to_vec1::<f32>()?;
        assert!(mask.contains(&1) && mask.contains(&0));
        Ok(mask
            .iter()
            .zip(red)
            .all(|(&mask, red)| (mask == 1) == (red > 0.5)))
    };
    (0..set.len()).map(fits).collect()
}

#[test]
fn masks_are_turned_with_their_images() -> Result<()> {
    for orientation in 1..=8 {
        for shown in [false, true] {
            // The size tells of quarter turns; the others follow them.
            let desk = Desk::new();
            turned(&desk, "tells", (6, 4), 6, shown);
            turned(&desk, "rectangle", (6, 4), orientation, shown);
            turned(&desk, "square", (6, 6), orientation, shown);
            let set = open(&desk)?;
            for upright in [true, false] {
                assert_eq!(
                    fits(&set, upright)?,
                    [true; 3],
                    "{orientation}, shown {shown}, upright {upright}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn where_no_size_tells_masks_are_taken_as_stored() -> Result<()> {
    use vitrepl_prelude::data::MaskGeometry;
    for orientation in 2..=8 {
        for (shown, drawn) in [(false, MaskGeometry::Stored), (true, MaskGeometry::Shown)] {
            let desk = Desk::new();
            turned(&desk, "square", (6, 6), orientation, shown);
            assert_eq!(fits(&open(&desk)?, true)?, [!shown], "{orientation}");
            let said = SegmentationSet::open_drawn(
                desk.path("images"),
                desk.path("masks"),
                drawn,
                OnUnreadable::Fail,
            )?;
            assert_eq!(fits(&said, true)?, [true], "{orientation}");
        }
    }
    // Two that tell different things.
    let desk = Desk::new();
    turned(&desk, "a", (6, 4), 6, true);
    turned(&desk, "b", (6, 4), 6, false);
    assert_eq!(fits(&open(&desk)?, true)?, [true, true]);
    turned(&desk, "c", (6, 6), 6, false);
    refused(
        open(&desk),
        &["images/c.png", "masks/b.png is to be turned", "open_drawn"],
    );
    Ok(())
}

#[test]
fn the_same_mask_for_two_images_is_refused() {
    let desk = desk();
    desk.picture("images/n1/a.jpg", 3);
    refused(open(&desk), &["a.jpg", "a.png", "share a mask"]);
}
