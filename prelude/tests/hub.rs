//! Fetching from a hub that a thread of the test plays, with redirects and ranges as the Hugging Face hub has them.

mod common;

use candle_core::{Device, Tensor};
use common::refused;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use vitrepl_prelude::models::Model;
use vitrepl_prelude::models::hub::{Hub, Watch, named};
use vitrepl_prelude::models::weights::Checkpoint;
use vitrepl_prelude::{Error, Result};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A repository and how the hub that has it misbehaves.
#[derive(Default)]
struct Served {
    repo: String,
    files: BTreeMap<String, Vec<u8>>,
    /// Answers of large files that end in the middle, and ones with a wrong byte.
    cut: AtomicUsize,
    wrong: AtomicUsize,
    /// Only for those with a token.
    gated: bool,
    /// Request line, range and authorization of each request.
    log: Mutex<Vec<String>>,
}

impl Served {
    /// The files of a folder of `formats`.
    fn of(repo: &str, folder: &str) -> Self {
        let files = std::fs::read_dir(made(folder)).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().to_string();
            (name, std::fs::read(entry.path()).unwrap())
        });
        Self {
            repo: repo.into(),
            files: files.collect(),
            ..Self::default()
        }
    }

    /// Serve it from now on; the address is the endpoint.
    fn start(self) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (served, base) = (Arc::new(self), address.clone());
        let shared = served.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that has gone away is none of the hub's business.
                let _ = shared.answer(stream.unwrap(), &base);
            }
        });
        (served, address)
    }

    fn answer(&self, mut stream: TcpStream, base: &str) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().unwrap_or(Ok(String::new()))?;
        let mut headers = BTreeMap::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.insert(name.to_lowercase(), value.to_string());
        }
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        let (range, token) = (header("range"), header("authorization"));
        self.log
            .lock()
            .unwrap()
            .push(format!("{request} {range} {token}"));
        let path = request.split(' ').nth(1).unwrap_or("").to_string();
        if self.gated && token != "Bearer hf_good" && !path.starts_with("/cdn/") {
            return status(&mut stream, "401 Unauthorized");
        }
        let start = range
            .strip_prefix("bytes=")
            .and_then(|r| r.split('-').next()?.parse::<usize>().ok());
        let end = range
            .split_once('-')
            .and_then(|(_, end)| end.parse::<usize>().ok());
        if path == format!("/api/models/{}/revision/main", self.repo) {
            let siblings: Vec<_> = self
                .files
                .keys()
                .map(|name| json!({"rfilename": name}))
                .collect();
            let body = json!({"sha": COMMIT, "siblings": siblings}).to_string();
            return reply(&mut stream, "200 OK", "", body.as_bytes(), body.len());
        }
        let resolved = format!("/{}/resolve/main/", self.repo);
        let cached = format!("/api/resolve-cache/models/{}/{COMMIT}/", self.repo);
        if let Some(name) = path.strip_prefix(&resolved) {
            let Some(bytes) = self.files.get(name) else {
                return status(&mut stream, "404 Not Found");
            };
            let more = match large(name) {
                // Another host serves large files, under their hash.
                true => format!(
                    "Location: {base}/cdn/{name}\r\nx-linked-etag: \"{}\"\r\netag: \"other\"\r\n",
                    sha256(bytes)
                ),
                false => format!("Location: {cached}{name}\r\n"),
            };
            let more = format!("{more}x-repo-commit: {COMMIT}\r\n");
            return reply(&mut stream, "302 Found", &more, b"", 0);
        }
        let small = path.strip_prefix(&cached);
        let Some(name) = small.or(path.strip_prefix("/cdn/")) else {
            return status(&mut stream, "404 Not Found");
        };
        let bytes = &self.files[name];
        let (start, end) = (start.unwrap_or(0), end.map_or(bytes.len(), |end| end + 1));
        if start >= bytes.len() {
            return status(&mut stream, "416 Range Not Satisfiable");
        }
        let mut part = bytes[start..end.min(bytes.len())].to_vec();
        let whole = part.len();
        if small.is_none() && whole > 1 {
            if take(&self.wrong) {
                part[whole / 2] ^= 1
            }
            if take(&self.cut) {
                part.truncate(whole / 2)
            }
        }
        let more = format!(
            "Content-Range: bytes {start}-{}/{}\r\netag: \"{name}-1\"\r\nx-repo-commit: {COMMIT}\r\n",
            start + whole - 1,
            bytes.len()
        );
        reply(&mut stream, "206 Partial Content", &more, &part, whole)
    }

    fn requests(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// Where the parts of large files began that were asked for.
    fn starts(&self) -> Vec<usize> {
        let log = self.log.lock().unwrap();
        let parts = log.iter().filter(|line| line.contains("/cdn/"));
        let starts = parts.filter_map(|line| line.split_once("bytes=")?.1.split_once('-'));
        // A range that is closed only asks for the size.
        let open = starts.filter(|(_, rest)| rest.starts_with(' '));
        open.map(|(start, _)| start.parse().unwrap()).collect()
    }
}

/// One less, if there is one.
fn take(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
        .is_ok()
}

fn large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".bin")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn status(stream: &mut TcpStream, status: &str) -> std::io::Result<()> {
    reply(stream, status, "", b"", 0)
}

fn reply(
    stream: &mut TcpStream,
    status: &str,
    more: &str,
    body: &[u8],
    length: usize,
) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn made(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/formats")
        .join(name)
}

fn hub(endpoint: &str, cache: &Path) -> Hub {
    Hub {
        endpoint: endpoint.into(),
        cache: cache.into(),
        token: None,
        offline: false,
    }
}

fn open(hub: &Hub, name: &str) -> Result<Model> {
    Model::open_from(hub, name, &json!({}), &Device::Cpu, &())
}

/// The model must be the one of that folder of `formats`.
#[track_caller]
fn is(model: &Model, folder: &str) {
    let size = model.encoder().image_size();
    let values: Vec<f32> = (0..2 * 3 * size * size)
        .map(|i| (i * 7919 % 256) as f32 / 255.)
        .collect();
    let pixels = Tensor::from_vec(values, (2, 3, size, size), &Device::Cpu).unwrap();
    let file = Checkpoint::open(made("expected.safetensors")).unwrap();
    let want = file.tensor(&format!("{folder}.representation")).unwrap();
    let error = (model.encoder().encode(&pixels).unwrap() - want)
        .unwrap()
        .abs()
        .unwrap();
    let largest = error.max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(largest < 1e-3, "{largest:.1e}");
}

const DEIT: &str = "timm/deit_base_patch16_224.fb_in1k";

#[test]
fn a_model_is_fetched_once() {
    let cache = tempfile::tempdir().unwrap();
    let (served, endpoint) = Served::of(DEIT, "timm_vit").start();
    let mut hub = hub(&endpoint, cache.path());
    let model = open(&hub, "deit").unwrap();
    is(&model, "timm_vit");
    // The configuration beside it wins over what the name tells.
    assert_eq!((model.name(), model.preprocess().crop), ("deit", 0.8));
    let asked = served.requests();
    assert!(asked > 0);
    is(&open(&hub, "deit").unwrap(), "timm_vit");
    is(
        &open(&hub, "hf-hub:timm/deit_base_patch16_224.fb_in1k").unwrap(),
        "timm_vit",
    );
    assert_eq!(served.requests(), asked, "all was in the cache");
    // Where huggingface_hub would find it.
    let folder = cache
        .path()
        .join("models--timm--deit_base_patch16_224.fb_in1k");
    assert_eq!(
        std::fs::read_to_string(folder.join("refs/main")).unwrap(),
        COMMIT
    );
    assert!(
        folder
            .join("snapshots")
            .join(COMMIT)
            .join("config.json")
            .exists()
    );
    hub.endpoint = "http://127.0.0.1:9".into();
    hub.offline = true;
    is(&open(&hub, "deit").unwrap(), "timm_vit");
    assert_eq!(hub.all_cached().len(), 1);
}

#[test]
fn a_clip_brings_its_tokenizer() {
    let cache = tempfile::tempdir().unwrap();
    let mut served = Served::of("laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "open_clip");
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"the": 1, "sea": 2, "[UNK]": 3}, "unk_token": "[UNK]"},
    });
    served
        .files
        .insert("tokenizer.json".into(), tokenizer.to_string().into());
    served.files.insert(
        "model.safetensors".into(),
        b"the same weights in transformers' names".to_vec(),
    );
    let (_, endpoint) = served.start();
    let clip = open(&hub(&endpoint, cache.path()), "clip").unwrap();
    is(&clip, "open_clip");
    assert_eq!(clip.encode_text(&["the sea"]).unwrap().dims(), [1, 16]);
}

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let cache = tempfile::tempdir().unwrap();
    let served = Served::of(DEIT, "timm_vit");
    served.cut.store(2, Ordering::SeqCst);
    let (served, endpoint) = served.start();
    is(
        &open(&hub(&endpoint, cache.path()), "deit").unwrap(),
        "timm_vit",
    );
    let size = served.files["model.safetensors"].len();
    assert_eq!(
        served.starts(),
        [0, size / 2, size / 2 + size.div_ceil(2) / 2]
    );
}

/// Says stop when more has arrived than is read at a time.
#[derive(Default)]
struct Impatient(AtomicUsize);

impl Watch for Impatient {
    fn at(&self, file: &str, done: u64, total: u64) {
        assert!(file.starts_with(DEIT) && done <= total);
        if file.ends_with("model.safetensors") && done > 16_000 {
            self.0.store(done as usize, Ordering::SeqCst)
        }
    }

    fn stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

#[test]
fn a_stopped_download_goes_on_the_next_time() {
    let cache = tempfile::tempdir().unwrap();
    let (served, endpoint) = Served::of(DEIT, "timm_vit").start();
    let hub = hub(&endpoint, cache.path());
    let watch = Impatient::default();
    let stopped = hub.weights(&named("deit").unwrap().unwrap(), &watch);
    assert!(
        matches!(stopped, Err(Error::Interrupted { .. })),
        "{stopped:?}"
    );
    refused(stopped, &["fetching model.safetensors", "kept"]);
    is(&open(&hub, "deit").unwrap(), "timm_vit");
    let starts = served.starts();
    assert!(starts.len() == 2 && starts[1] > 0, "{starts:?}");
}

#[test]
fn a_part_that_is_whole_already_is_no_obstacle() {
    let cache = tempfile::tempdir().unwrap();
    let (served, endpoint) = Served::of(DEIT, "timm_vit").start();
    let hub = hub(&endpoint, cache.path());
    let blobs = hub.folder(&named("deit").unwrap().unwrap()).join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let weights = &served.files["model.safetensors"];
    std::fs::write(blobs.join(sha256(weights)).with_extension("part"), weights).unwrap();
    is(&open(&hub, "deit").unwrap(), "timm_vit");
}

#[test]
fn damaged_files_are_fetched_again_and_then_refused() {
    let cache = tempfile::tempdir().unwrap();
    let served = Served::of(DEIT, "timm_vit");
    served.wrong.store(1, Ordering::SeqCst);
    let (_, endpoint) = served.start();
    is(
        &open(&hub(&endpoint, cache.path()), "deit").unwrap(),
        "timm_vit",
    );
    let cache = tempfile::tempdir().unwrap();
    let served = Served::of(DEIT, "timm_vit");
    served.wrong.store(usize::MAX, Ordering::SeqCst);
    let (_, endpoint) = served.start();
    let hub = hub(&endpoint, cache.path());
    refused(
        open(&hub, "deit"),
        &[DEIT, "model.safetensors", "damaged", "SHA-256"],
    );
    assert!(
        hub.cached(&named("deit").unwrap().unwrap()).is_none(),
        "it is not kept"
    );
}

#[test]
fn repositories_that_are_not_there_or_closed_are_named() {
    let cache = tempfile::tempdir().unwrap();
    let mut served = Served::of("owner/closed", "timm_vit");
    served.gated = true;
    let (served, endpoint) = served.start();
    let mut hub = hub(&endpoint, cache.path());
    refused(
        open(&hub, "owner/closed"),
        &["owner/closed", "gated", "HF_TOKEN", &endpoint],
    );
    hub.token = Some("hf_bad".into());
    refused(open(&hub, "owner/closed"), &["your token may not read it"]);
    hub.token = Some("hf_good".into());
    is(&open(&hub, "owner/closed").unwrap(), "timm_vit");
    assert!(
        served
            .log
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.ends_with("Bearer hf_good"))
    );
    refused(
        open(&hub, "owner/nothing"),
        &["owner/nothing", "no such repository", "check the name"],
    );
    let mut empty = Served::of("owner/empty", "timm_vit");
    empty.files.remove("model.safetensors");
    let (_, endpoint) = empty.start();
    hub.endpoint = endpoint;
    refused(
        open(&hub, "owner/empty"),
        &["owner/empty", "no weights", "model.safetensors"],
    );
}

#[test]
fn without_a_network_files_put_there_by_hand_do() {
    let cache = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut hub = hub(&format!("http://{free}"), cache.path());
    let by_hand = hub
        .folder(&named("deit").unwrap().unwrap())
        .join("snapshots/by-hand");
    let told = [
        "cannot be reached",
        "deit_base_patch16_224.fb_in1k/tree/main",
        "model.safetensors",
        "config.json",
        by_hand.to_str().unwrap(),
        "load(",
    ];
    refused(open(&hub, "deit"), &told);
    hub.offline = true;
    refused(open(&hub, "deit"), &["HF_HUB_OFFLINE"]);
    refused(
        open(&hub, "ViT-L-14"),
        &["open_clip_model.safetensors", "tokenizer.json"],
    );
    std::fs::create_dir_all(&by_hand).unwrap();
    for name in ["model.safetensors", "config.json"] {
        std::fs::copy(made("timm_vit").join(name), by_hand.join(name)).unwrap();
    }
    is(&open(&hub, "deit").unwrap(), "timm_vit");
    // A damaged file there is named by its path.
    std::fs::write(by_hand.join("model.safetensors"), b"<html>").unwrap();
    refused(
        open(&hub, "deit"),
        &["by-hand/model.safetensors", "fetch it again"],
    );
}

#[test]
fn weights_in_several_files_are_fetched_by_their_index() {
    let cache = tempfile::tempdir().unwrap();
    let mut served = Served::of("owner/large", "timm_vit");
    let weights = served.files.remove("model.safetensors").unwrap();
    let whole = Checkpoint::from_bytes("model.safetensors", &weights).unwrap();
    let keys: Vec<_> = whole.keys().map(str::to_string).collect();
    let mut map = BTreeMap::new();
    for (i, part) in keys.chunks(keys.len().div_ceil(2)).enumerate() {
        let name = format!("model-{:05}-of-00002.safetensors", i + 1);
        let tensors: std::collections::HashMap<_, _> = (part.iter())
            .map(|key| (key.clone(), whole.tensor(key).unwrap().clone()))
            .collect();
        let path = cache.path().join(&name);
        candle_core::safetensors::save(&tensors, &path).unwrap();
        served
            .files
            .insert(name.clone(), std::fs::read(path).unwrap());
        map.extend(part.iter().map(|key| (key.clone(), name.clone())));
    }
    let index = json!({"metadata": {}, "weight_map": map}).to_string();
    served
        .files
        .insert("model.safetensors.index.json".into(), index.into());
    let (served, endpoint) = served.start();
    let mut hub = hub(&endpoint, cache.path());
    is(&open(&hub, "owner/large").unwrap(), "timm_vit");
    let asked = served.requests();
    is(&open(&hub, "owner/large").unwrap(), "timm_vit");
    assert_eq!(served.requests(), asked, "all was in the cache");
    // An index without one of its shards is not the weights.
    hub.offline = true;
    let folder = hub.folder(&named("owner/large").unwrap().unwrap());
    let shard = folder
        .join("snapshots")
        .join(COMMIT)
        .join("model-00002-of-00002.safetensors");
    std::fs::remove_file(shard).unwrap();
    refused(
        open(&hub, "owner/large"),
        &["HF_HUB_OFFLINE", "model.safetensors"],
    );
}

#[test]
fn a_repository_of_another_architecture_is_refused_before_its_weights_are_fetched() {
    for config in [
        json!({"model_type": "convnext"}),
        json!({"architecture": "resnet50"}),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let mut served = Served::of("owner/other", "timm_vit");
        served
            .files
            .insert("config.json".into(), config.to_string().into());
        let (served, endpoint) = served.start();
        refused(
            open(&hub(&endpoint, cache.path()), "owner/other"),
            &["owner/other", "config.json", "not built"],
        );
        let log = served.log.lock().unwrap().join("\n");
        assert!(!log.contains("model.safetensors"), "{log}");
    }
}

#[test]
fn names_of_known_kinds_that_are_not_built_ask_nothing_of_the_hub() {
    let cache = tempfile::tempdir().unwrap();
    let (served, endpoint) = Served::of("timm/resnet50.a1_in1k", "timm_vit").start();
    let hub = hub(&endpoint, cache.path());
    for name in [
        "resnet50",
        "timm/resnet50.a1_in1k",
        "hf-hub:timm/resnet50.a1_in1k",
        "google/siglip-base-patch16-224",
    ] {
        refused(open(&hub, name), &[name, "not built"]);
    }
    assert_eq!(served.requests(), 0);
}

#[test]
fn without_a_network_the_files_are_named_that_the_repository_has() {
    let cache = tempfile::tempdir().unwrap();
    let mut hub = hub("http://127.0.0.1:9", cache.path());
    hub.offline = true;
    for (name, has, has_not) in [
        (
            "facebook/dinov2-base",
            &[
                "model.safetensors",
                "config.json",
                "preprocessor_config.json",
            ][..],
            &["open_clip"][..],
        ),
        (
            "ViT-L-14",
            &[
                "open_clip_model.safetensors",
                "open_clip_config.json",
                "tokenizer.json",
            ],
            &[
                "preprocessor_config",
                "  config.json",
                "open_clip_pytorch_model.safetensors",
            ],
        ),
        (
            "dinov2",
            &["model.safetensors", "config.json"],
            &["tokenizer", "open_clip", "preprocessor"],
        ),
    ] {
        let text = open(&hub, name).unwrap_err().to_string();
        for part in has {
            assert!(text.contains(part), "{part}: {text}");
        }
        for part in has_not {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }
    // Once the hub has told its files, they are named as they are.
    let served = Served::of("owner/pickled", "timm_pickle");
    served.cut.store(usize::MAX, Ordering::SeqCst);
    let (_, endpoint) = served.start();
    hub.offline = false;
    hub.endpoint = endpoint;
    let text = refused_text(&hub, "owner/pickled");
    assert!(text.contains("pytorch_model.bin"), "{text}");
    assert!(!text.contains("model.safetensors"), "{text}");
}

fn refused_text(hub: &Hub, name: &str) -> String {
    open(hub, name).unwrap_err().to_string()
}

const CHILD: &str = "VITREPL_TEST_HUB";

/// The process's own environment is not changed in a test with threads: a child has another.
#[test]
fn load_goes_by_the_environment() {
    if std::env::var_os(CHILD).is_some() {
        let model = vitrepl_prelude::prelude::load("deit").unwrap();
        return is(&model, "timm_vit");
    }
    let home = tempfile::tempdir().unwrap();
    let mut served = Served::of(DEIT, "timm_vit");
    served.gated = true;
    let (served, endpoint) = served.start();
    let child = |variables: &[(&str, &str)]| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "load_goes_by_the_environment", "--nocapture"])
            .env(CHILD, "1")
            .env("VITREPL_PROGRESS", "1")
            .env("HF_HOME", home.path())
            .env_remove("HF_HUB_CACHE")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).to_string();
        (output.status.success(), said)
    };
    let (well, said) = child(&[("HF_ENDPOINT", &endpoint), ("HF_TOKEN", "hf_good")]);
    assert!(well, "{said}");
    let progress: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line.split_once("VITREPL_PROGRESS ")?.1).ok())
        .collect();
    let of_weights = |line: &&Value| {
        line["label"]
            .as_str()
            .unwrap()
            .ends_with("model.safetensors")
    };
    assert!(progress.iter().any(|line| of_weights(&line)), "{said}");
    assert!(
        home.path()
            .join("hub/models--timm--deit_base_patch16_224.fb_in1k")
            .exists()
    );
    let asked = served.requests();
    let (well, said) = child(&[("HF_ENDPOINT", &endpoint), ("HF_HUB_OFFLINE", "1")]);
    assert!(well && served.requests() == asked, "{said}");
}
