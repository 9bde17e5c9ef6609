//! A folder for a test, and what it is filled with.

pub use crate::common::refused;
use std::fs;
use std::path::{Path, PathBuf};
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, GeneratedSet, GeneratedSpec, ModelInput, Preprocess};

/// Side of the pictures.
pub const SIDE: usize = 32;

/// A temporary folder.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with picture i of the generated set in the i-th of `files`.
    pub fn with(files: &[&str]) -> Self {
        let desk = Self::new();
        for (index, file) in files.iter().enumerate() {
            desk.picture(file, index)
        }
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Picture `index` of the generated set; a `.JPEG` may hold a PNG, contents decide.
    pub fn picture(&self, name: &str, index: usize) {
        self.write(name, png(index));
    }
}

pub fn generated() -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(5, 1000)).unwrap()
}

/// Picture `index` of the generated set as a PNG file.
pub fn png(index: usize) -> Vec<u8> {
    let drawing = generated().draw(index, SIDE);
    let picture = image::RgbImage::from_raw(SIDE as u32, SIDE as u32, drawing.rgb).unwrap();
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// The whole picture at its own size.
pub fn whole() -> ModelInput {
    let preprocess = Preprocess {
        crop: 1.,
        ..Preprocess::default()
    };
    ModelInput::new(SIDE, preprocess)
}

/// Check that image i of `set` is picture `order[i]` of the generated set.
pub fn shows(set: &dyn DataSet, order: &[usize]) -> Result<()> {
    assert_eq!(set.len(), order.len());
    let indices: Vec<_> = (0..set.len()).collect();
    let (read, drawn) = (
        set.pixels(&indices, whole())?,
        generated().pixels(order, whole())?,
    );
    assert_eq!((read - drawn)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.);
    // One at a time, as threads decode.
    for (i, &picture) in order.iter().enumerate() {
        let (read, drawn) = (
            set.pixels(&[i], whole())?,
            generated().pixels(&[picture], whole())?,
        );
        assert_eq!((read - drawn)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.);
    }
    Ok(())
}

impl Desk {
    /// The images below `images`, as a set.
    pub fn folder(&self) -> vitrepl_prelude::data::FolderSet {
        let unreadable = vitrepl_prelude::data::OnUnreadable::Fail;
        vitrepl_prelude::data::FolderSet::open(self.path("images"), unreadable).unwrap()
    }
}
