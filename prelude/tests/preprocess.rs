//! Evaluation transforms against torchvision's and Pillow's results: the golden file, and the small pictures beside
//! `pictures/make.py`.

use candle_core::Device;
use image::{ImageReader, Rgb, RgbImage};
use std::path::{Path, PathBuf};
use vitrepl_prelude::data::{
    CropMode, DataSet, FolderSet, Interpolation, ModelInput, OnUnreadable, Preprocess, resize,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures")
}

fn open(path: impl AsRef<Path>) -> Result<RgbImage> {
    Ok(ImageReader::open(path)?.decode()?.to_rgb8())
}

/// The largest and the mean difference of two pictures, in steps of 1/255.
fn difference(a: &RgbImage, b: &RgbImage) -> (u8, f64) {
    assert_eq!(a.dimensions(), b.dimensions());
    let steps: Vec<u8> = a
        .iter()
        .zip(b.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    let sum: f64 = steps.iter().map(|&s| f64::from(s)).sum();
    (*steps.iter().max().unwrap(), sum / steps.len() as f64)
}

#[test]
fn the_golden_transforms_are_met() -> Result {
    let folder = std::env::var_os("VITREPL_GOLDEN_DIR").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
    let golden =
        candle_core::safetensors::load(folder.join("preprocess.safetensors"), &Device::Cpu)?;
    assert!(!golden.is_empty());
    let folder = tempfile::tempdir()?;
    std::fs::copy(
        pictures().join("rocket.png"),
        folder.path().join("rocket.png"),
    )?;
    let set = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
    for (name, expected) in golden {
        // pixels.<interpolation>_<size>_<crop>
        let how: Vec<_> = name.trim_start_matches("pixels.").split('_').collect();
        let preprocess = Preprocess {
            interpolation: serde_json::from_value(how[0].into())?,
            crop: how[2].parse()?,
            ..Preprocess::default()
        };
        let ours = set
            .pixels(&[0], ModelInput::new(how[1].parse()?, preprocess))?
            .get(0)?;
        let steps = ((ours - expected)?.abs()? * 255.)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let worst = steps.iter().copied().fold(0., f32::max);
        let mean = steps.iter().sum::<f32>() / steps.len() as f32;
        println!("{name}: at most {worst:.4}/255, mean {mean:.5}/255");
        // The golden condition is 2 and 0.3; nothing but the rounding of v / 255 is left.
        assert!(worst < 1e-3, "{name}: {worst}/255");
    }
    Ok(())
}

#[test]
fn every_filter_gives_pillows_values() -> Result {
    let picture = open(pictures().join("rocket_part.png"))?;
    let mut checked = 0;
    for entry in std::fs::read_dir(pictures().join("pillow"))? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some((name, size)) = stem.split_once('_') else {
            continue;
        };
        let Ok(how) = serde_json::from_value::<Interpolation>(name.into()) else {
            continue;
        };
        let (w, h) = size.split_once('x').unwrap();
        let ours = resize(&picture, (w.parse()?, h.parse()?), how);
        let (worst, mean) = difference(&ours, &open(&path)?);
        assert_eq!(worst, 0, "{stem}: mean {mean}");
        checked += 1;
    }
    assert_eq!(checked, 30);
    Ok(())
}

/// Every kind of picture, with how far from Pillow's value a pixel may be: decoders of lossy formats differ in rounding.
#[test]
fn every_kind_of_picture_is_read_as_pillow_reads_it() -> Result {
    let mut checked = 0;
    for entry in std::fs::read_dir(pictures().join("pillow"))? {
        let expected = entry?.path();
        let file = pictures().join(expected.file_stem().unwrap());
        if !file.exists() {
            continue;
        }
        let expected = open(expected)?;
        let folder = tempfile::tempdir()?;
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        std::fs::copy(&file, folder.path().join(&name))?;
        let set = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
        // The whole picture: bars, and the size of its longer side.
        let side = expected.width().max(expected.height());
        let preprocess = Preprocess {
            crop: 1.,
            mode: CropMode::Border,
            ..Preprocess::default()
        };
        let ours = set.pixels(&[0], ModelInput::new(side as usize, preprocess))?;
        let framed = preprocess.apply(&expected, side as usize);
        let ours = (ours.get(0)?.permute((1, 2, 0))? * 255.)?.round()?;
        let ours = ours.flatten_all()?.to_vec1::<f32>()?;
        let ours: Vec<u8> = ours.into_iter().map(|v| v as u8).collect();
        let ours = RgbImage::from_raw(side, side, ours).unwrap();
        let (worst, mean) = difference(&ours, &framed);
        println!("{name}: at most {worst}/255, mean {mean:.3}/255");
        let lossy = name.ends_with(".jpg") || name.starts_with("lossy");
        let (most, most_mean) = if lossy { (4, 0.5) } else { (0, 0.) };
        assert!(
            worst <= most && mean <= most_mean,
            "{name}: {worst}, mean {mean}"
        );
        checked += 1;
    }
    assert!(checked >= 25, "{checked}");
    Ok(())
}

#[test]
fn orientation_can_be_ignored_as_torchvision_does() -> Result {
    let folder = tempfile::tempdir()?;
    for file in ["turned1.jpg", "turned6.jpg"] {
        std::fs::copy(pictures().join(file), folder.path().join(file))?;
    }
    let set = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
    let apart = |upright| -> Result<f32> {
        let preprocess = Preprocess {
            upright,
            ..Preprocess::default()
        };
        let pixels = set.pixels(&[0, 1], ModelInput::new(24, preprocess))?;
        Ok((pixels.get(0)? - pixels.get(1)?)?
            .abs()?
            .max_all()?
            .to_scalar()?)
    };
    assert!(apart(false)? < 0.02, "stored alike");
    let turned = apart(true)?;
    assert!(turned > 0.05, "shown turned: {turned}");
    Ok(())
}

#[test]
fn sixteen_bit_grey_keeps_its_upper_bits() -> Result {
    // Pillow's convert("RGB") saturates this one kind; its grey with alpha and its colours do as we do.
    let folder = tempfile::tempdir()?;
    let grey = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(16, 16, |x, _| {
        image::Luma([(x * 0x1100 + 0xff) as u16])
    });
    grey.save(folder.path().join("grey16.png"))?;
    let set = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
    let whole = Preprocess {
        crop: 1.,
        ..Preprocess::default()
    };
    let row = set
        .pixels(&[0], ModelInput::new(16, whole))?
        .get(0)?
        .get(1)?
        .get(5)?;
    let row: Vec<u8> = row
        .to_vec1::<f32>()?
        .iter()
        .map(|v| (v * 255.).round() as u8)
        .collect();
    assert_eq!(row, (0..16).map(|x| x * 0x11).collect::<Vec<u8>>());
    Ok(())
}

#[test]
fn modes_keep_what_they_say() -> Result {
    // A red left and a blue right half, 2 : 1.
    let picture = RgbImage::from_fn(80, 40, |x, _| {
        Rgb(if x < 40 { [255, 0, 0] } else { [0, 0, 255] })
    });
    let apply = |mode| {
        let preprocess = Preprocess {
            mode,
            crop: 1.,
            fill: [0, 255, 0],
            ..Preprocess::default()
        };
        preprocess.apply(&picture, 20)
    };
    let reds = |picture: &RgbImage| picture.pixels().filter(|p| p.0 == [255, 0, 0]).count();
    let greens = |picture: &RgbImage| picture.pixels().filter(|p| p.0 == [0, 255, 0]).count();
    let border = apply(CropMode::Border);
    assert_eq!(greens(&border), 20 * 10, "bars above and below");
    assert_eq!(border.get_pixel(0, 4).0, [0, 255, 0]);
    assert_eq!(border.get_pixel(0, 5).0, [255, 0, 0]);
    for mode in [CropMode::Center, CropMode::Squash] {
        let filled = apply(mode);
        assert_eq!(greens(&filled), 0);
        assert!(reds(&filled) >= 160, "{mode:?}");
    }
    Ok(())
}

#[test]
fn names_are_those_of_timm_and_open_clip() -> Result {
    let parse = |text: &str| serde_json::from_str::<Preprocess>(text);
    let preprocess = parse(r#"{"interpolation": "bilinear", "crop": 0.95, "mode": "squash"}"#)?;
    assert_eq!(preprocess.interpolation, Interpolation::Bilinear);
    assert_eq!(preprocess.mode, CropMode::Squash);
    assert_eq!(parse(r#"{"mode": "shortest"}"#)?.mode, CropMode::Center);
    assert_eq!(parse(r#"{"mode": "longest"}"#)?.mode, CropMode::Border);
    assert!(parse(r#"{"interpolation": "cubic-ish"}"#).is_err());
    for crop in [0., -1., 1.5, f64::NAN] {
        let bad = Preprocess {
            crop,
            ..Preprocess::default()
        };
        assert!(bad.check().unwrap_err().to_string().contains("crop ="));
    }
    Ok(())
}
