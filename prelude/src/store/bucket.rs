//! A folder of files, or a prefix of an object store, by its address.

use crate::files::expand;
use crate::{Error, Result};
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;
use zarrs::storage::byte_range::{ByteRange, ByteRangeIterator};
use zarrs::storage::{
    MaybeBytesIterator, OffsetBytesIterator, ReadableStorageTraits, StorageError, StoreKey,
    StorePrefix, WritableStorageTraits,
};

/// The beginnings of environment variables that say how to reach an object store: `AWS_ACCESS_KEY_ID`,
/// `AWS_ENDPOINT_URL`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`.
const SETTINGS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// The kind of TLS, chosen before the first client is built. Whoever has chosen in this process before is right too.
static TLS: LazyLock<()> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
});

/// Requests wait here; they are few and long.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("object store")
        .enable_all()
        .build()
});

/// Where the values of a store are kept. Each is written whole or not at all: a file by a rename, an object by one
/// request.
#[derive(Clone)]
pub(crate) struct Bucket {
    address: String,
    store: Arc<dyn ObjectStore>,
    root: Key,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address)
    }
}

impl Bucket {
    /// The folder or prefix at `address`: a path (`runs/vit.zarr`, `~/vit.zarr`), `file://`, `s3://bucket/vit.zarr`,
    /// `gs://`, `az://`. Whether anything is there is not asked.
    ///
    /// # Errors
    /// An address of another kind, or settings of an object store that are missing or wrong.
    pub fn at(address: &str) -> Result<Self> {
        let refused = |reason: String| Error::argument("address", address, reason);
        let Some((scheme, rest)) = address.split_once("://") else {
            return Self::folder(address, address);
        };
        if scheme == "file" {
            return Self::folder(address, rest);
        }
        if !["s3", "s3a", "gs", "az", "azure", "abfs", "abfss"].contains(&scheme) {
            return Err(refused(format!(
                "\"{scheme}\" is not an object store of this program: s3://, gs://, az://, file://, or the path of a folder"
            )));
        }
        LazyLock::force(&TLS);
        let url = url::Url::parse(address).map_err(|e| refused(format!("no address: {e}")))?;
        let settings =
            std::env::vars().filter(|(name, _)| SETTINGS.iter().any(|of| name.starts_with(of)));
        let (store, root) = object_store::parse_url_opts(&url, settings).map_err(|e| {
            refused(format!(
                "{e}; credentials and regions are read from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, \
                 AWS_REGION, AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME and the like"
            ))
        })?;
        if root.as_ref().is_empty() {
            return Err(refused(
                "a name within the bucket too, s3://bucket/run.zarr".into(),
            ));
        }
        Ok(Self {
            address: address.trim_end_matches('/').to_string(),
            store: Arc::from(store),
            root,
        })
    }

    fn folder(address: &str, path: &str) -> Result<Self> {
        if path.is_empty() {
            return Err(Error::argument(
                "address",
                address,
                "the path of a folder, or s3://bucket/run.zarr",
            ));
        }
        let path = expand(path)?;
        let path = std::path::absolute(&path).map_err(|e| Error::io("reading", &path, e))?;
        let root = Key::from_absolute_path(&path).map_err(|e| {
            Error::argument("address", address, format!("the path of a folder: {e}"))
        })?;
        Ok(Self {
            address: address.trim_end_matches('/').to_string(),
            store: Arc::new(LocalFileSystem::new()),
            root,
        })
    }

    /// The address as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What is at `key`, where there is something.
    pub fn read(&self, key: &str) -> io::Result<Option<Bytes>> {
        let path = self.key(key);
        let got = wait(async { self.store.get(&path).await?.bytes().await })?;
        match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(fault(e)),
        }
    }

    /// Puts `bytes` at `key`, whole or not at all.
    pub fn write(&self, key: &str, bytes: Bytes) -> io::Result<()> {
        let path = self.key(key);
        wait(self.store.put(&path, PutPayload::from_bytes(bytes)))?.map_err(fault)?;
        Ok(())
    }

    /// Removes what is at `key`, if there is something.
    pub fn remove(&self, key: &str) -> io::Result<()> {
        let path = self.key(key);
        match wait(self.store.delete(&path))? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(fault(e)),
        }
    }

    /// The names directly below `key`, of values and of folders.
    pub fn names(&self, key: &str) -> io::Result<BTreeSet<String>> {
        let path = self.key(key);
        let listed = wait(self.store.list_with_delimiter(Some(&path)))?.map_err(fault)?;
        let values = listed.objects.iter().map(|object| &object.location);
        let names = values.chain(&listed.common_prefixes);
        Ok(names
            .filter_map(|path| Some(path.filename()?.to_string()))
            .collect())
    }

    fn key(&self, key: &str) -> Key {
        let parts = key.split('/').filter(|part| !part.is_empty());
        parts.fold(self.root.clone(), |path, part| path.join(part))
    }

    /// The error of `doing` something at `key`.
    pub fn error(&self, doing: &'static str, key: &str, source: io::Error) -> Error {
        let path = match key {
            "" => PathBuf::from(&self.address),
            key => PathBuf::from(format!("{}/{key}", self.address)),
        };
        Error::io(doing, path, source)
    }
}

/// Waits for a request.
fn wait<T>(request: impl Future<Output = T>) -> io::Result<T> {
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.block_on(request)),
        Err(e) => Err(io::Error::new(
            e.kind(),
            format!("no thread for requests: {e}"),
        )),
    }
}

/// An error of a store as one of the system, with the kind that the system gave where there is one.
fn fault(error: object_store::Error) -> io::Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => io::ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        _ => {
            let mut source = std::error::Error::source(&error);
            let mut kind = None;
            while let Some(below) = source {
                kind = kind.or_else(|| below.downcast_ref::<io::Error>().map(io::Error::kind));
                source = below.source();
            }
            kind.unwrap_or(io::ErrorKind::Other)
        }
    };
    io::Error::new(kind, error.to_string())
}

fn storage(error: io::Error) -> StorageError {
    StorageError::IOError(Arc::new(error))
}

impl ReadableStorageTraits for Bucket {
    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        let Some(bytes) = self.read(key.as_str()).map_err(storage)? else {
            return Ok(None);
        };
        let part = move |range: ByteRange| {
            let length = bytes.len() as u64;
            let (start, end) = (range.start(length), range.end(length));
            match start <= end && end <= length {
                true => Ok(bytes.slice(start as usize..end as usize)),
                false => Err(StorageError::Other(format!(
                    "bytes {start} to {end} of {length}"
                ))),
            }
        };
        Ok(Some(Box::new(byte_ranges.map(part))))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        let bytes = self.read(key.as_str()).map_err(storage)?;
        Ok(bytes.map(|bytes| bytes.len() as u64))
    }

    fn supports_get_partial(&self) -> bool {
        false
    }
}

impl WritableStorageTraits for Bucket {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        self.write(key.as_str(), value).map_err(storage)
    }

    fn set_partial_many(&self, _: &StoreKey, _: OffsetBytesIterator) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("values are written whole".into()))
    }

    fn erase(&self, key: &StoreKey) -> Result<(), StorageError> {
        self.remove(key.as_str()).map_err(storage)
    }

    fn erase_prefix(&self, _: &StorePrefix) -> Result<(), StorageError> {
        Err(StorageError::Unsupported(
            "nothing is removed by prefix".into(),
        ))
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}
