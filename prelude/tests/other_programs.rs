//! Stores are read by other programs, zarr 3 and xarray; object stores are written, a server of moto's; and Ray spreads the
//! work. All of them are from PyPI.
//!
//! Needs Python 3 with its `venv` module and PyPI the first time; what it installs lies in the target folder. Where there
//! is no Python, the tests say so and do nothing.

mod common;

use candle_core::DType;
use common::CACHE;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};
use vitrepl_prelude::prelude::{
    ContributionStore, Contributions, DecomposeOptions, GeneratedSet, GeneratedSpec, Granularity,
    StoreOptions, StoreType, Tensor, decompose, load,
};

const REQUIREMENTS: &str = include_str!("other_programs/requirements.txt");

/// A Python with the packages, made once; none where there is no Python with `venv`.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(make_python).as_deref()
}

fn make_python() -> Option<PathBuf> {
    let there = Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("left out: there is no python3 with venv (Debian: apt-get install python3-venv)");
        return None;
    }
    let mut hasher = DefaultHasher::new();
    REQUIREMENTS.hash(&mut hasher);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("programs-{:016x}", hasher.finish()));
    let (python, made) = (folder.join("bin/python"), folder.join("made"));
    if !made.is_file() {
        let must = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(
                output.status.success(),
                "{command:?}: {output:?}; PyPI must be reachable"
            );
        };
        must(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        );
        let requirements = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/other_programs/requirements.txt"
        );
        must(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r", requirements]));
        std::fs::write(made, "").unwrap();
    }
    Some(python)
}

fn contributions(images: usize) -> Arc<Contributions> {
    contributions_by(images, Granularity::Heads)
}

fn contributions_by(images: usize, granularity: Granularity) -> Arc<Contributions> {
    LazyLock::force(&CACHE);
    let set = GeneratedSet::new(GeneratedSpec::unbiased(11, images)).unwrap();
    let options = DecomposeOptions {
        granularity,
        ..DecomposeOptions::default()
    };
    decompose(load("tiny_vit").unwrap(), &set, &options).unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    let t = t.to_dtype(DType::F64).unwrap();
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn zarr_and_xarray_read_a_store_by_its_names() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (dtype, name, granularity) in [
        (StoreType::F32, "float32", Granularity::Heads),
        (StoreType::F32, "float32", Granularity::Tokens),
        (StoreType::F16, "float16", Granularity::Heads),
        (StoreType::F16, "float16", Granularity::Tokens),
    ] {
        let c = contributions_by(11, granularity);
        let place = format!("{name}-{granularity:?}");
        let address = folder.path().join(place).display().to_string();
        c.save_as(
            &address,
            &StoreOptions {
                dtype,
                chunk: Some(4),
            },
        )
        .unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other_programs/read.py");
        let output = Command::new(python)
            .arg(script)
            .arg(&address)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let (n, d) = (c.len(), c.values().dims()[2]);
        assert_eq!(seen["shape"], serde_json::json!([11, n, d]), "{seen}");
        assert_eq!(seen["chunks"], serde_json::json!([4, n, d]));
        assert_eq!(seen["dtype"], name);
        assert_eq!(seen["finished"], serde_json::json!([1, 1, 1]));
        assert_eq!(seen["components"], serde_json::json!(c.names()));
        assert_eq!(seen["images"], serde_json::json!(c.image_names().unwrap()));
        assert_eq!(seen["model"], "tiny_vit");
        assert_eq!(
            seen["dims"],
            serde_json::json!(["image", "component", "channel"])
        );
        assert_eq!(
            seen["representation_dims"],
            serde_json::json!(["image", "channel"])
        );
        assert_eq!(seen["nan"], false);
        let tolerance = if dtype == StoreType::F32 { 1e-5 } else { 1e-2 };
        assert!(seen["apart"].as_f64().unwrap() < tolerance, "{seen}");
        if granularity == Granularity::Tokens {
            let tokens = &seen["tokens"];
            let dims = ["image", "window", "head", "token", "head_channel"];
            assert_eq!(tokens["dims"], serde_json::json!(dims), "{tokens}");
            assert_eq!(tokens["tokens"], 37);
            // By the arrays and steps alone, they sum to their head.
            assert!(tokens["apart"].as_f64().unwrap() < tolerance, "{tokens}");
        } else {
            assert!(seen["tokens"].is_null());
        }
        let want = flat(&c.values().get(3).unwrap().get(10).unwrap());
        for (i, want) in want.iter().take(4).enumerate() {
            let got = seen["corner"][i].as_f64().unwrap();
            assert!(
                (got - want).abs() < tolerance * want.abs().max(1e-3),
                "{got} for {want}"
            );
        }
    }
}

/// A server of moto's, which ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(python: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(python)
            .args([
                "-m",
                "moto.server",
                "-H",
                "127.0.0.1",
                "-p",
                &port.to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "moto's server does not start"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        let server = Self { child, port };
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let host = format!("127.0.0.1:{port}");
        write!(stream, "PUT /bucket HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\nAuthorization: AWS4-HMAC-SHA256 Credential=key/20200101/us-east-1/s3/aws4_request\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connections pass through here to `port`; every third one is cut in the middle, every fourth is told that the server is
/// busy. The port to connect to, and how many connections were spoilt.
fn spoilt(port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (own, count) = (
        listener.local_addr().unwrap().port(),
        Arc::new(AtomicUsize::new(0)),
    );
    let spoilt = count.clone();
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let Ok(mut client) = client else { return };
            let spoilt = spoilt.clone();
            std::thread::spawn(move || {
                if number % 3 == 1 {
                    spoilt.fetch_add(1, Ordering::Relaxed);
                    let mut some = [0; 64];
                    let _ = client.read(&mut some);
                    return;
                }
                if number % 4 == 2 {
                    spoilt.fetch_add(1, Ordering::Relaxed);
                    let mut some = [0; 4096];
                    let _ = client.read(&mut some);
                    let _ = client.write_all(
                        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    );
                    return;
                }
                // One request a connection: clients would use one for all.
                let (mut head, mut byte) = (Vec::new(), [0; 1]);
                while !head.ends_with(b"\r\n\r\n") {
                    match client.read(&mut byte) {
                        Ok(1) => head.push(byte[0]),
                        _ => return,
                    }
                }
                let head = String::from_utf8_lossy(&head);
                let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)) else {
                    return;
                };
                if server.write_all(head.as_bytes()).is_err() {
                    return;
                }
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                });
                let _ = std::io::copy(&mut server, &mut client);
            });
        }
    });
    (own, count)
}

fn program(port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_decompose"));
    command
        .args([
            "--model",
            "tiny_vit",
            "--data",
            "generated:11:40",
            "--chunk",
            "8",
            "--out",
            "s3://bucket/run.zarr",
        ])
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ALLOW_HTTP", "true");
    command
}

const INSIDE: &str = "VITREPL_TEST_S3";

/// Reads the store that a run has written, in a process that has the server's settings.
#[test]
fn inside_a_process_with_settings_a_store_is_read() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let stored = Contributions::open("s3://bucket/run.zarr").unwrap();
    assert_eq!((stored.images(), stored.chunks()), (40, 5));
    let c = contributions(40);
    let (got, want) = (flat(stored.load().unwrap().values()), flat(c.values()));
    let most = want.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    assert!(
        got.iter()
            .zip(&want)
            .all(|(a, b)| (a - b).abs() < 1e-6 * most)
    );
    let store = ContributionStore::open("s3://bucket/run.zarr").unwrap();
    assert!(store.missing().unwrap().is_empty());
    let error = Contributions::open("s3://bucket/other.zarr")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("s3://bucket/other.zarr") && error.contains("no zarr.json"),
        "{error}"
    );
    c.save("s3://bucket/saved.zarr").unwrap();
    assert_eq!(
        flat(
            Contributions::open("s3://bucket/saved.zarr")
                .unwrap()
                .load()
                .unwrap()
                .values()
        ),
        want
    );
    println!("read from s3");
}

#[test]
fn an_object_store_is_written_and_read_through_cut_connections_and_refusals() {
    let Some(python) = python() else { return };
    let server = Server::start(python);
    let (port, count) = spoilt(server.port);
    let output = program(port).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        count.load(Ordering::Relaxed) >= 2,
        "{count:?} connections were spoilt"
    );
    let again = program(port).output().unwrap();
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("0 of them now"),
        "{again:?}"
    );
    let reader = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "inside_a_process_with_settings_a_store_is_read",
            "--nocapture",
        ])
        .envs(
            program(port)
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(reader.status.success(), "{reader:?}");
    assert!(String::from_utf8_lossy(&reader.stdout).contains("read from s3"));
}

#[test]
fn ray_spreads_shards_over_two_nodes_of_which_one_is_killed() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (spread, single) = (
        folder.path().join("spread.zarr"),
        folder.path().join("single.zarr"),
    );
    let arguments = |out: &Path| {
        let out = out.display().to_string();
        let command = [
            "--model",
            "tiny_vit",
            "--data",
            "generated:11:1500",
            "--chunk",
            "32",
            "--out",
        ];
        let command = command.map(str::to_string).into_iter();
        command.chain([out]).collect::<Vec<_>>()
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .arg(root.join("tests/other_programs/two_nodes.py"))
        .arg(root.join("cluster/ray_decompose.py"))
        .args(["6", "--", env!("CARGO_BIN_EXE_decompose")])
        .args(arguments(&spread))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).to_string();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("a node was killed after") && said.contains("the driver at work: True"),
        "{said}"
    );
    assert!(said.contains("6 of 6 shards"), "{said}");
    let alone = Command::new(env!("CARGO_BIN_EXE_decompose"))
        .args(arguments(&single))
        .output()
        .unwrap();
    assert!(alone.status.success(), "{alone:?}");
    let open = |path: &Path| Contributions::open(&path.display().to_string()).unwrap();
    let (spread, single) = (open(&spread), open(&single));
    assert_eq!(spread.image_names(), single.image_names());
    let (got, want) = (
        flat(spread.load().unwrap().values()),
        flat(single.load().unwrap().values()),
    );
    let most = want.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    assert!(
        got.iter()
            .zip(&want)
            .all(|(a, b)| (a - b).abs() < 1e-6 * most)
    );
}
