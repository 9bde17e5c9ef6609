//! Parquet shards as the Hugging Face hub serves image data sets: a struct column of `bytes` and `path`, and label
//! columns whose class names stand in the schema's `huggingface` metadata.
//!
//! Rows are read a few at a time when they are asked for; what was read last is kept, so that reading in order reads
//! each page once.

mod blocks;
mod columns;
mod damage;

use self::blocks::Blocks;
use self::columns::{Column, Kind};
use self::damage::{check_footer, guarded};
use super::decode::{rgb, unreadable};
use super::folder::{OnUnreadable, decoded, readable, retain};
use super::labels::{class_number, no_column};
use super::listing::folder_name;
use super::shard::{Place, Shard, kept_key, shards, shards_key};
use super::{DataSet, Labels, ModelInput, Preprocess};
use crate::files::expand;
use crate::{Error, Result};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use candle_core::Tensor;
use image::RgbImage;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

/// Images in parquet shards, with every plain label column of theirs.
#[derive(Clone)]
pub struct ParquetSet(Arc<Parquet>);

/// What all clones of a set share.
pub(super) struct Parquet {
    name: String,
    key: String,
    files: Vec<File>,
    /// Of each image: the file, row group and row.
    rows: Vec<Row>,
    columns: Vec<Column>,
    blocks: Blocks,
    skipped: Vec<Error>,
}

/// One shard.
struct File {
    shard: Shard,
    reader: SerializedFileReader<Shard>,
    /// Which leaf holds the image bytes.
    image: usize,
}

/// Where a row is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    file: usize,
    group: usize,
    row: usize,
}

impl Length for Shard {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Shard {
    type T = BufReader<Place>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(self.reader(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<bytes::Bytes> {
        let bytes = self.bytes(start, length);
        Ok(bytes
            .map_err(|e| ParquetError::External(Box::new(e)))?
            .into())
    }
}

impl ParquetSet {
    /// The shards at `path`: a `.parquet` file, a folder of them, or the beginning of their names (`data/validation` for
    /// `data/validation-00000-of-00014.parquet`). The image column is `image`, or else the first that holds images.
    ///
    /// # Errors
    /// When there are none, one is cut off or no parquet file, their columns differ, or none holds images.
    pub fn open(path: impl AsRef<Path>, unreadable: OnUnreadable) -> Result<Self> {
        let set = Parquet::of_column(path, None, unreadable)?;
        Ok(Self(Arc::new(set)))
    }

    /// [`Self::open`] with the images of the column `image`.
    ///
    /// # Errors
    /// As [`Self::open`], and when there is no such column.
    pub fn open_column(
        path: impl AsRef<Path>,
        image: &str,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        let set = Parquet::of_column(path, Some(image), unreadable)?;
        Ok(Self(Arc::new(set)))
    }
}

impl Parquet {
    fn of_column(
        path: impl AsRef<Path>,
        image: Option<&str>,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        let path = &expand(path)?;
        let (mut files, mut rows, mut columns) = (Vec::new(), Vec::new(), None);
        for (number, path) in shards(path, "parquet")?.iter().enumerate() {
            let file = File::open(path, image)?;
            let found = columns::of(&file.shard.path, file.reader.metadata())?;
            if *columns.get_or_insert_with(|| found.clone()) != found {
                let reason = "its label columns are not those of the shards before it";
                return Err(Error::data(path.display().to_string(), reason));
            }
            for (group, about) in file.reader.metadata().row_groups().iter().enumerate() {
                let count = usize::try_from(about.num_rows()).unwrap_or(0);
                rows.extend((0..count).map(|row| Row {
                    file: number,
                    group,
                    row,
                }));
            }
            files.push(file);
        }
        let shards: Vec<_> = files.iter().map(|file| file.shard.clone()).collect();
        let mut set = Self {
            name: folder_name(path),
            key: shards_key("parquet", &shards),
            files,
            rows,
            columns: columns.unwrap_or_default(),
            blocks: Blocks::default(),
            skipped: Vec::new(),
        };
        if let Some(image) = image {
            set.key = format!("{}-{image}", set.key);
        }
        if unreadable == OnUnreadable::Skip {
            let preprocess = Preprocess::default();
            let read = |i: usize| set.picture(i, &preprocess).map(drop);
            let (kept, skipped) = readable(&set.name, set.rows.len(), read)?;
            retain(&mut set.rows, &kept);
            set.key = kept_key(&set.key, &kept);
            set.skipped = skipped;
        }
        if set.rows.is_empty() {
            let reason = match set.skipped.first() {
                Some(first) => format!("none of its images can be read; the first: {first}"),
                None => "its shards have no rows".to_string(),
            };
            return Err(Error::data(&set.name, reason));
        }
        Ok(set)
    }

    /// What a row is called in messages.
    fn place(&self, row: Row) -> String {
        let path = self.files[row.file].shard.path.display();
        format!("{path}, row {}", self.row_of_file(row))
    }

    /// The row counted from the beginning of its file.
    fn row_of_file(&self, row: Row) -> i64 {
        let groups = self.files[row.file].reader.metadata().row_groups();
        let before = groups[..row.group].iter().map(|group| group.num_rows());
        before.sum::<i64>() + row.row as i64
    }

    fn picture(&self, i: usize, preprocess: &Preprocess) -> Result<RgbImage> {
        let row = self.rows[i];
        let place = || self.place(row);
        let Some(bytes) = self.blocks.image(&self.files[row.file], row)? else {
            let reason = match blocks::path(&self.files[row.file], row) {
                Some(path) => format!(
                    "the row holds no bytes but the path {path}; open the folder of the pictures with FolderSet::open, or write the shards with their bytes, as `push_to_hub` of Python's datasets does"
                ),
                None => "the row holds no bytes; write the shards without it".to_string(),
            };
            return Err(unreadable(Path::new(&place()), reason));
        };
        rgb(&bytes, preprocess.upright).map_err(|reason| unreadable(Path::new(&place()), reason))
    }
}

impl File {
    fn open(path: &Path, image: Option<&str>) -> Result<Self> {
        let shard = Shard::open(path)?;
        let reader = guarded(|| SerializedFileReader::new(shard.clone())).map_err(|e| {
            let reason = format!("it is no whole parquet file ({e}); download it again");
            Error::data(path.display().to_string(), reason)
        })?;
        check_footer(&shard, reader.metadata()).map_err(|what| {
            let reason = format!("its footer is damaged ({what}); download it again");
            Error::data(path.display().to_string(), reason)
        })?;
        let image = columns::image(path, reader.metadata(), image)?;
        Ok(Self {
            shard,
            reader,
            image,
        })
    }

    /// Reading failed.
    fn damaged(&self, error: ParquetError) -> Error {
        let reason = match &error {
            ParquetError::NYI(what) | ParquetError::General(what) if what.contains("feature") => {
                format!(
                    "it is compressed in a way that is not read here ({what}); write it again with snappy or without compression"
                )
            }
            _ => format!("it is damaged ({error}); download it again"),
        };
        Error::data(self.shard.path.display().to_string(), reason)
    }
}

super::delegate!({} ParquetSet, set => set.0);

impl DataSet for Parquet {
    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> String {
        self.key.clone()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn image_name(&self, index: usize) -> String {
        let row = self.rows[index];
        let file = folder_name(&self.files[row.file].shard.path);
        format!("{file}, row {}", self.row_of_file(row))
    }

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        decoded(self, indices, input, |i| self.picture(i, &input.preprocess))
    }

    fn masks(&self, _: &[usize], _: ModelInput) -> Result<Tensor> {
        let file = &self.files[0];
        let pictures = columns::pictures(file.reader.metadata());
        let others = pictures.iter().filter(|column| column.leaf != file.image);
        let others: Vec<_> = others.map(|column| column.name.as_str()).collect();
        let remedy = "write images and masks as PNG files of the same names into two folders, a mask with one label number a pixel, and open them with SegmentationSet::open";
        let reason = match others.as_slice() {
            [] => {
                "it has no masks; SegmentationSet::open takes a folder of images and one of masks"
                    .to_string()
            }
            others => format!(
                "masks are not read from parquet files (its columns {} hold pictures too); {remedy}",
                others.join(", ")
            ),
        };
        Err(Error::data(&self.name, reason))
    }

    fn skipped(&self) -> &[Error] {
        &self.skipped
    }

    fn label_columns(&self) -> Vec<String> {
        self.columns
            .iter()
            .map(|column| column.name.clone())
            .collect()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        let Some(found) = self.columns.iter().find(|known| known.name == column) else {
            let mut known = self.label_columns();
            let schema = self.files[0]
                .reader
                .metadata()
                .file_metadata()
                .schema_descr();
            let fields = schema.root_schema().get_fields().iter();
            let others = fields.map(|field| field.name().to_string());
            let others: Vec<_> = others.filter(|name| !known.contains(name)).collect();
            known.push(format!(
                "and columns that hold no labels: {}",
                others.join(", ")
            ));
            return Err(no_column(&self.name, column, &known));
        };
        // Row by row of the files; then those of the images that were not left out.
        let whole = self
            .files
            .iter()
            .map(|file| file.read(found))
            .collect::<Result<Vec<_>>>()?;
        let value = |row: &Row| whole[row.file][row.group].get(row.row).cloned().flatten();
        let values: Vec<_> = self.rows.iter().map(value).collect();
        let missing: Vec<_> = (0..values.len()).filter(|&i| values[i].is_none()).collect();
        if let Some(&first) = missing.first() {
            let also = match missing.len() - 1 {
                0 => String::new(),
                others => format!(", nor have {others} others of {}", values.len()),
            };
            let reason = format!(
                "it has no value for \"{column}\"{also}; write the shards with it, or without these rows"
            );
            return Err(Error::data(self.place(self.rows[first]), reason));
        }
        let values = self.rows.iter().copied().zip(values.into_iter().flatten());
        if found.kind == Kind::Text {
            return Ok(Labels::from_names(
                values.map(|(_, value)| value.text()).collect(),
            ));
        }
        let numbers = values
            .map(|(row, value)| {
                let number = class_number(value.number(), || self.place(row))?;
                match found.names.len() {
                    0 => Ok(number),
                    count if number < count => Ok(number),
                    count => {
                        let reason =
                            format!("\"{column}\" is {number}, and {count} classes have names");
                        Err(Error::data(self.place(row), reason))
                    }
                }
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(match found.names.is_empty() {
            true => Labels::from_numbers(numbers),
            false => Labels {
                values: numbers,
                names: found.names.clone(),
            },
        })
    }
}
