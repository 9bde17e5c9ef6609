//! Tar shards in WebDataset's layout: the members `key.jpg`, `key.cls`, `key.json`, `key.txt` are one sample.
//!
//! A member's field is what follows the first dot of the last part of its path, as in WebDataset; what stands before it
//! is the sample's key. Members of one key are one sample wherever in the shard they stand; a member that is there twice
//! is refused. Names that begin with a dot, `__MACOSX` and `Thumbs.db` are no data.
//!
//! A shard is indexed once, from its headers; images are read at their places when they are asked for.

mod columns;
mod fields;
mod index;

use self::columns::Source;
use self::fields::{Fields, Holds, holds};
use self::index::{Member, Sample, index};
use super::decode::{EXTENSIONS, rgb, unreadable};
use super::folder::{OnUnreadable, decoded, readable, retain};
use super::labels::no_column;
use super::listing::folder_name;
use super::shard::{Shard, kept_key, shards, shards_key};
use super::{DataSet, Labels, ModelInput, Preprocess};
use crate::files::expand;
use crate::{Error, Result};
use candle_core::Tensor;
use image::RgbImage;
use std::path::Path;
use std::sync::Arc;

/// Images in tar shards, with the columns `class` (from `.cls`), `text` (from `.txt`), the plain entries of `.json`, and
/// other fields of numbers and text that WebDataset decodes (`.id`, `.index`, `caption.txt`) under their own names.
#[derive(Clone)]
pub struct TarSet(Arc<Tar>);

/// What all clones of a set share.
pub(super) struct Tar {
    name: String,
    key: String,
    shards: Vec<Shard>,
    fields: Fields,
    /// The field that holds the images, where the caller has named one.
    image: Option<String>,
    samples: Vec<Sample>,
    columns: Vec<(String, Source)>,
    skipped: Vec<Error>,
}

impl TarSet {
    /// The shards at `path`: a `.tar` file, a folder of them, or the beginning of their names (`shards/val`). The image
    /// of a sample is its field `png`, `jpg`, `jpeg` or `webp`.
    ///
    /// # Errors
    /// When there are no shards, one is cut off, compressed or no tar file, a member is there twice, a sample has two
    /// images, or (unless they are to be skipped) none, or a broken `.json`.
    pub fn open(path: impl AsRef<Path>, unreadable: OnUnreadable) -> Result<Self> {
        Ok(Self(Arc::new(Tar::of(path.as_ref(), None, unreadable)?)))
    }

    /// [`Self::open`] with the images of the field `image`, such as `input.jpg` for the members `key.input.jpg`.
    ///
    /// # Errors
    /// As [`Self::open`], and when no sample has such a field.
    pub fn open_field(
        path: impl AsRef<Path>,
        image: &str,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        let image = image.trim_start_matches('.').to_lowercase();
        Ok(Self(Arc::new(Tar::of(
            path.as_ref(),
            Some(image),
            unreadable,
        )?)))
    }
}

impl Tar {
    fn of(path: &Path, image: Option<String>, unreadable: OnUnreadable) -> Result<Self> {
        let path = &expand(path)?;
        let mut set = Self {
            name: folder_name(path),
            key: String::new(),
            shards: Vec::new(),
            fields: Fields::default(),
            image,
            samples: Vec::new(),
            columns: Vec::new(),
            skipped: Vec::new(),
        };
        for (number, path) in shards(path, "tar")?.iter().enumerate() {
            let shard = Shard::open(path)?;
            index(&shard, number, &mut set.fields, &mut set.samples)?;
            set.shards.push(shard);
        }
        set.key = shards_key("tar", &set.shards);
        if let Some(image) = &set.image {
            set.key = format!("{}-{image}", set.key);
            if set.fields.known(image).is_none() && !set.samples.is_empty() {
                let names: Vec<_> = set.fields.all().map(|(_, name)| name).take(20).collect();
                let reason = format!(
                    "no sample has the field \"{image}\"; fields are {}",
                    names.join(", ")
                );
                return Err(Error::data(&set.name, reason));
            }
        }
        if let Some(sample) = set.samples.iter().find(|s| set.images_of(s).len() > 1) {
            return Err(set.two_images(sample));
        }
        if unreadable == OnUnreadable::Skip {
            let preprocess = Preprocess::default();
            let read = |i: usize| {
                set.picture(i, &preprocess)?;
                set.check_json(&set.samples[i])
            };
            let (kept, skipped) = readable(&set.name, set.samples.len(), read)?;
            retain(&mut set.samples, &kept);
            set.key = kept_key(&set.key, &kept);
            set.skipped = skipped;
        } else if let Some(sample) = set.samples.iter().find(|s| set.image_of(s).is_none()) {
            return Err(set.no_image(sample));
        }
        if set.samples.is_empty() {
            let reason = match set.skipped.first() {
                Some(first) => format!("none of its images can be read; the first: {first}"),
                None => "its shards hold no samples (key.jpg, key.cls, ...)".to_string(),
            };
            return Err(Error::data(&set.name, reason));
        }
        set.columns = set.find_columns()?;
        Ok(set)
    }

    /// The fields of `sample` that may be its image.
    fn images_of(&self, sample: &Sample) -> Vec<(u32, Member)> {
        let is_image = |field: u32| match &self.image {
            Some(image) => self.fields.name(field) == image,
            None => EXTENSIONS.contains(&self.fields.name(field)),
        };
        let members = sample.members.iter().copied();
        members.filter(|(field, _)| is_image(*field)).collect()
    }

    fn image_of(&self, sample: &Sample) -> Option<Member> {
        let images = self.images_of(sample);
        images.first().map(|(_, member)| *member)
    }

    /// What a sample is called in messages.
    fn place(&self, sample: &Sample) -> String {
        format!(
            "{}, sample {}",
            self.shards[sample.shard].path.display(),
            sample.key
        )
    }

    fn two_images(&self, sample: &Sample) -> Error {
        let images = self.images_of(sample);
        let names: Vec<_> = images
            .iter()
            .map(|(field, _)| self.fields.name(*field))
            .collect();
        let reason = format!(
            "it has {} images ({}); name the field to take, as in TarSet::open_field(path, \"{}\", ..)",
            names.len(),
            names.join(", "),
            names[0]
        );
        Error::data(self.place(sample), reason)
    }

    fn no_image(&self, sample: &Sample) -> Error {
        let names: Vec<_> = sample
            .members
            .iter()
            .map(|(field, _)| self.fields.name(*field))
            .collect();
        let mut reason = match &self.image {
            Some(image) => format!("it has no image ({image})"),
            None => format!("it has no image ({})", EXTENSIONS.join(", ")),
        };
        reason += &format!(
            "; its fields, which follow the first dot of a name, are {}",
            names.join(", ")
        );
        let other = names.iter().find(|name| holds(name) == Holds::Image);
        reason += &match (other, &self.image) {
            (Some(name), None) => format!(
                ". If {name} is the same in all samples, take TarSet::open_field(path, \"{name}\", ..); if the dot belongs to the name, write the shards again without it"
            ),
            _ => ". Write the shards again without it, or open them with OnUnreadable::Skip"
                .to_string(),
        };
        Error::data(self.place(sample), reason)
    }

    fn member(&self, sample: &Sample, member: Member) -> Result<Vec<u8>> {
        let shard = &self.shards[sample.shard];
        shard.check()?;
        shard
            .bytes(member.start, member.len)
            .map_err(|e| Error::io("reading", &shard.path, e))
    }

    /// Check that the sample's JSON can be read.
    fn check_json(&self, sample: &Sample) -> Result<()> {
        let json = sample.members.iter().map(|(field, _)| *field);
        let mut json = json.filter(|&field| holds(self.fields.name(field)) == Holds::Json);
        json.try_for_each(|field| self.json(sample, field).map(drop))
    }

    fn picture(&self, i: usize, preprocess: &Preprocess) -> Result<RgbImage> {
        let sample = &self.samples[i];
        let member = self.image_of(sample).ok_or_else(|| self.no_image(sample))?;
        let bytes = self.member(sample, member)?;
        rgb(&bytes, preprocess.upright)
            .map_err(|reason| unreadable(Path::new(&self.place(sample)), reason))
    }
}

super::delegate!({} TarSet, set => set.0);

impl DataSet for Tar {
    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> String {
        self.key.clone()
    }

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn image_name(&self, index: usize) -> String {
        let sample = &self.samples[index];
        format!(
            "{}/{}",
            folder_name(&self.shards[sample.shard].path),
            sample.key
        )
    }

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        decoded(self, indices, input, |i| self.picture(i, &input.preprocess))
    }

    fn skipped(&self) -> &[Error] {
        &self.skipped
    }

    fn label_columns(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        if let Some((_, source)) = self.columns.iter().find(|(name, _)| name == column) {
            return self.read(column, source);
        }
        let mut known = self.label_columns();
        let unread = self.fields.all().map(|(_, name)| name);
        let unread: Vec<_> = unread
            .filter(|name| holds(name) == Holds::Other)
            .take(10)
            .collect();
        if !unread.is_empty() {
            known.push(format!(
                "and fields that are not read: {}",
                unread.join(", ")
            ))
        }
        Err(no_column(&self.name, column, &known))
    }
}
