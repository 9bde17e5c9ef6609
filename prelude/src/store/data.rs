//! A data set by a word, as a command line names it.

use crate::data::{
    DataSet, FolderSet, GeneratedSet, GeneratedSpec, ImageNet, OnUnreadable, ParquetSet, TarSet,
    Waterbirds,
};
use crate::{Error, Result};

/// Opens the data set that `what` says: the path of a folder of pictures, `imagenet:PATH`, `waterbirds:PATH`, `tar:PATH`
/// (WebDataset), `parquet:PATH`, or `generated:SEED:COUNT` for so many generated images without bias.
///
/// # Errors
/// Another kind of data, or one that cannot be opened.
pub fn open_data(what: &str, unreadable: OnUnreadable) -> Result<Box<dyn DataSet>> {
    let (kind, path) = what.split_once(':').unwrap_or(("folder", what));
    Ok(match kind {
        "folder" => Box::new(FolderSet::open(path, unreadable)?),
        "imagenet" => Box::new(ImageNet::open(path, unreadable)?),
        "waterbirds" => Box::new(Waterbirds::open(path, unreadable)?),
        "tar" => Box::new(TarSet::open(path, unreadable)?),
        "parquet" => Box::new(ParquetSet::open(path, unreadable)?),
        "generated" => {
            let numbers = path.split_once(':');
            let numbers =
                numbers.and_then(|(seed, count)| Some((seed.parse().ok()?, count.parse().ok()?)));
            let Some((seed, count)) = numbers else {
                return Err(Error::argument(
                    "data",
                    what,
                    "generated:SEED:COUNT, such as generated:1:1000",
                ));
            };
            Box::new(GeneratedSet::new(GeneratedSpec::unbiased(seed, count))?)
        }
        _ => {
            return Err(Error::argument(
                "data",
                what,
                "the path of a folder, or one of folder:PATH, imagenet:PATH, waterbirds:PATH, tar:PATH, parquet:PATH, \
                 generated:SEED:COUNT",
            ));
        }
    })
}
