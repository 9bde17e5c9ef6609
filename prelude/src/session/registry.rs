//! The table of resident values.

use super::keys::{Kind, key};
use super::limit::limit;
use super::units::{duration, size};
use crate::align::Alignment;
use crate::charts::Table;
use crate::decompose::{Contributions, mentions};
use crate::identity::{ImageEmbeddings, TextEmbeddings};
use crate::models::Model;
use crate::{Error, Result, facts};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

struct Entry {
    label: String,
    bytes: usize,
    took: Duration,
    made: Instant,
    used: Instant,
    found: u64,
    value: Arc<dyn Any + Send + Sync>,
}

type Entries = BTreeMap<(Kind, String), Entry>;

static ENTRIES: LazyLock<Mutex<Entries>> = LazyLock::new(Mutex::default);

/// A cell that panicked while it held the lock has not left the table half changed.
fn entries() -> MutexGuard<'static, Entries> {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The resident value of `parts`, or the one that `make` makes (with its size in bytes), which then is resident.
/// The table is not locked while `make` runs; should two threads make the same value, the first stays.
pub(super) fn resident_or<T: Send + Sync + 'static>(
    kind: Kind,
    parts: &[&str],
    label: &str,
    make: impl FnOnce() -> Result<(T, usize)>,
) -> Result<Arc<T>> {
    let key = (kind, key(kind, parts));
    if let Some(value) = find(&key) {
        return Ok(value);
    }
    let start = Instant::now();
    let (value, bytes) = make()?;
    let entry = Entry {
        label: label.to_string(),
        bytes,
        took: start.elapsed(),
        made: Instant::now(),
        used: Instant::now(),
        found: 0,
        value: Arc::new(value),
    };
    let value = downcast(entries().entry(key.clone()).or_insert(entry))?;
    if let Some(limit) = limit(kept()) {
        keep_within(limit, Some(&key));
    }
    Ok(value)
}

/// Bytes of what can be dropped and had again: everything but models and what is in the making.
pub(super) fn kept() -> u64 {
    let entries = entries();
    let bytes = entries.iter().filter(|(key, _)| can_go(key));
    bytes.map(|(_, entry)| entry.bytes as u64).sum()
}

fn can_go((kind, _): &(Kind, String)) -> bool {
    !matches!(kind, Kind::Model | Kind::Unfinished)
}

/// Drops what was not used for longest until the rest is within `limit`; `newest` stays. The bytes that were dropped.
pub(super) fn keep_within(limit: u64, newest: Option<&(Kind, String)>) -> u64 {
    let kept = kept();
    drop_oldest(kept.saturating_sub(limit), newest, |_| true)
}

/// Drops what was not used for longest, and no variable holds, until `bytes` are free or nothing is left to drop. The bytes
/// that were dropped.
pub(super) fn make_room(bytes: u64) -> u64 {
    drop_oldest(bytes, None, |entry| Arc::strong_count(&entry.value) == 1)
}

fn drop_oldest(
    bytes: u64,
    newest: Option<&(Kind, String)>,
    wanted: impl Fn(&Entry) -> bool,
) -> u64 {
    let mut entries = entries();
    let mut oldest: Vec<_> = entries
        .iter()
        .filter(|(key, entry)| can_go(key) && Some(*key) != newest && wanted(entry))
        .map(|(key, entry)| (entry.used, entry.bytes as u64, key.clone()))
        .collect();
    oldest.sort();
    let mut dropped = 0;
    for (_, size, key) in oldest {
        if dropped >= bytes {
            break;
        }
        entries.remove(&key);
        dropped += size;
    }
    dropped
}

fn find<T: Send + Sync + 'static>(key: &(Kind, String)) -> Option<Arc<T>> {
    let mut entries = entries();
    let entry = entries.get_mut(key)?;
    entry.found += 1;
    entry.used = Instant::now();
    downcast(entry).ok()
}

/// The resident value of a kind that `fits`, whatever its key.
pub(super) fn resident_where<T: Send + Sync + 'static>(
    kind: Kind,
    fits: impl Fn(&T) -> bool,
) -> Option<Arc<T>> {
    let mut entries = entries();
    let mut of_kind = entries.iter_mut().filter(|((of, _), _)| *of == kind);
    of_kind.find_map(|(_, entry)| {
        let value = downcast::<T>(entry).ok().filter(|value| fits(value))?;
        entry.found += 1;
        entry.used = Instant::now();
        Some(value)
    })
}

fn downcast<T: Send + Sync + 'static>(entry: &Entry) -> Result<Arc<T>> {
    let value = entry.value.clone().downcast::<T>();
    value.map_err(|_| Error::data(&entry.label, "is resident as something else; forget it"))
}

/// Take a value out of the table.
pub(super) fn take<T: Send + Sync + 'static>(kind: Kind, parts: &[&str]) -> Option<Arc<T>> {
    let entry = entries().remove(&(kind, key(kind, parts)))?;
    downcast(&entry).ok()
}

/// Drop everything whose kind or label contains `pattern`, in which `*` is any characters (`"*"` for all) and `?` one; says
/// how many that were. Values still held by a variable live on there.
pub fn forget(pattern: &str) -> usize {
    forget_where(pattern, |_| true)
}

/// [`forget`], and models stay.
pub(super) fn forget_but_models(pattern: &str) -> usize {
    forget_where(pattern, |kind| kind != Kind::Model)
}

fn forget_where(pattern: &str, of: impl Fn(Kind) -> bool) -> usize {
    let mut entries = entries();
    let before = entries.len();
    entries.retain(|(kind, _), entry| {
        let named = mentions(kind.name(), pattern) || mentions(&entry.label, pattern);
        !(of(*kind) && named)
    });
    before - entries.len()
}

/// Where a value is kept: `cpu`, `cuda:0`.
fn device_of(value: &(dyn Any + Send + Sync)) -> String {
    let device = if let Some(model) = value.downcast_ref::<Model>() {
        model.encoder().device().clone()
    } else if let Some(contributions) = value.downcast_ref::<Contributions>() {
        contributions.values().device().clone()
    } else if let Some(images) = value.downcast_ref::<ImageEmbeddings>() {
        images.device().clone()
    } else if let Some(texts) = value.downcast_ref::<TextEmbeddings>() {
        texts.device().clone()
    } else if let Some(alignment) = value.downcast_ref::<Alignment>() {
        match alignment.aligner.weights() {
            Some(weights) => weights.device().clone(),
            None => return String::new(),
        }
    } else {
        return String::new();
    };
    facts::place(&device)
}

/// What is resident now, as a table.
pub fn resident() -> Resident {
    let rows = entries()
        .iter()
        .map(|((kind, _), entry)| Row {
            kind: *kind,
            device: device_of(&*entry.value),
            label: entry.label.clone(),
            bytes: entry.bytes,
            took: entry.took,
            age: entry.made.elapsed(),
            found: entry.found,
        })
        .collect();
    Resident { rows }
}

/// The resident values, one a row.
#[derive(Debug)]
pub struct Resident {
    rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub kind: Kind,
    pub label: String,
    pub device: String,
    pub bytes: usize,
    took: Duration,
    pub age: Duration,
    found: u64,
}

impl Resident {
    /// Number of resident values.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is resident.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows of some kinds.
    pub(super) fn rows_of(&self, of: impl Fn(Kind) -> bool) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| of(row.kind))
    }

    /// The rows as a table.
    pub fn table(&self) -> Table {
        let header = ["kind", "what", "size", "made in", "age", "found again"];
        let table = Table::new("resident").columns(header);
        self.rows.iter().fold(table, |table, row| {
            table.row([
                row.kind.name().to_string(),
                row.label.clone(),
                size(row.bytes as u64),
                format!("{:.2} s", row.took.as_secs_f64()),
                duration(row.age),
                row.found.to_string(),
            ])
        })
    }

    /// Shown by evcxr.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}

impl std::fmt::Display for Resident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table())
    }
}
