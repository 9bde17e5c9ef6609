//! The array script for Slurm, by Slurm itself: a cluster of this machine alone, which ends with the test.
//!
//! Needs `slurm-wlm` and `munge` of Debian; where they are not installed, the test says so and does nothing.

mod common;

use candle_core::{DType, Tensor};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use vitrepl_prelude::prelude::*;

const PATIENCE: Duration = Duration::from_secs(120);

/// Slurm's daemons, with all their files in one folder.
struct Cluster {
    folder: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
    output.status.success().then_some(text)
}

impl Cluster {
    /// None where Slurm is not installed.
    fn start() -> Option<Self> {
        for (program, ask) in [
            ("munged", "--version"),
            ("slurmctld", "-V"),
            ("slurmd", "-V"),
        ] {
            if said(Command::new(program).arg(ask)).is_none() {
                eprintln!(
                    "left out: there is no {program} (Debian: apt-get install slurm-wlm munge)"
                );
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["state", "spool"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        std::fs::write(at("key"), vec![7; 1024]).unwrap();
        said(Command::new("chmod").args(["400", &at("key")])).unwrap();
        let (host, user) = (
            said(Command::new("hostname").arg("-s")).unwrap(),
            said(Command::new("id").arg("-un")).unwrap(),
        );
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [controller, node] = free.map(|port| port.local_addr().unwrap().port());
        let here = folder.path().display();
        let configuration = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
             SlurmUser={user}\nSlurmdUser={user}\nAuthType=auth/munge\nAuthInfo=socket={here}/munge.socket\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\nGresTypes=gpu\n\
             MpiDefault=none\nReturnToService=2\nSlurmctldPidFile={here}/slurmctld.pid\nSlurmdPidFile={here}/slurmd.pid\n\
             SlurmdSpoolDir={here}/spool\nStateSaveLocation={here}/state\nSlurmctldLogFile={here}/slurmctld.log\n\
             SlurmdLogFile={here}/slurmd.log\nSchedulerParameters=batch_sched_delay=0,sched_interval=1\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN\n\
             PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
        );
        std::fs::write(at("slurm.conf"), configuration).unwrap();
        let mut cluster = Self {
            folder,
            daemons: Vec::new(),
        };
        let file = |what: &str, name: &str| format!("--{what}={}", cluster.at(name));
        let munged = ["--foreground".into(), "--force".into()]
            .into_iter()
            .chain([
                file("key-file", "key"),
                file("socket", "munge.socket"),
                file("pid-file", "munged.pid"),
                file("seed-file", "munged.seed"),
                file("log-file", "munged.log"),
            ]);
        let munged: Vec<String> = munged.collect();
        let of_slurm = ["-D".to_string(), "-f".to_string(), cluster.at("slurm.conf")];
        cluster.run("munged", &munged);
        cluster.wait("munge.socket", || {
            Path::new(&cluster.at("munge.socket")).exists()
        });
        cluster.run("slurmctld", &of_slurm);
        cluster.run("slurmd", &of_slurm);
        cluster.wait("an idle node", || {
            said(cluster.command("sinfo").args(["-h", "-o", "%T"]))
                .is_some_and(|state| state == "idle")
        });
        Some(cluster)
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn run(&mut self, program: &str, arguments: &[String]) {
        let daemon = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.daemons.push(daemon.unwrap());
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("SLURM_CONF", self.at("slurm.conf"))
            .current_dir(self.folder.path());
        command
    }

    fn wait(&self, what: &str, mut is_there: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_there() {
            if began.elapsed() > PATIENCE {
                let logs = ["slurmctld.log", "slurmd.log", "munged.log"];
                let logs =
                    logs.map(|log| std::fs::read_to_string(self.at(log)).unwrap_or_default());
                panic!("no {what} after {PATIENCE:?}: {logs:#?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The array script with so many shards of a run of `images`, until all of its tasks have ended.
    fn array(&self, shards: usize, images: usize) -> Command {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/decompose.sbatch");
        let mut command = self.command("sbatch");
        command
            .env("MODEL", "tiny_vit")
            .env("DATA", format!("generated:11:{images}"))
            .env("OUT", self.at("run.zarr"))
            .env("DEVICE", "cpu")
            .env("ARGUMENTS", "--chunk 16")
            .env("DECOMPOSE", env!("CARGO_BIN_EXE_decompose"))
            // This node has no GPU, and fewer cores than the script asks for.
            .args([&format!("--array=0-{}", shards - 1), "--wait"])
            .args(["--gpus-per-task=0", "--cpus-per-task=1", script]);
        command
    }

    fn logs(&self) -> String {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let logs = entries.map(|entry| entry.unwrap().path());
        let logs = logs.filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("decompose-")
        });
        logs.map(|path: PathBuf| std::fs::read_to_string(path).unwrap())
            .collect()
    }
}

fn flat(t: &Tensor) -> Vec<f32> {
    let t = t.to_dtype(DType::F32).unwrap();
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn an_array_of_jobs_fills_a_store_and_again_after_one_was_killed() -> Result<()> {
    let Some(cluster) = Cluster::start() else {
        return Ok(());
    };
    const IMAGES: usize = 1280;
    let finished = PathBuf::from(cluster.at("run.zarr")).join("finished/c");
    let chunks = || std::fs::read_dir(&finished).map_or(0, Iterator::count);
    let mut first = cluster
        .array(4, IMAGES)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    cluster.wait("chunk", || chunks() > 1);
    // One task's process is lost.
    let out = cluster.at("run.zarr");
    let killed = said(Command::new("pkill").args([
        "-KILL",
        "-o",
        "-f",
        &format!("decompose --model.*{out}"),
    ]));
    assert!(killed.is_some(), "no task was at work: {}", cluster.logs());
    assert!(!first.wait().unwrap().success(), "{}", cluster.logs());
    let missing = ContributionStore::open(&out)?.missing()?;
    assert!(!missing.is_empty(), "the killed task had finished");
    let Output { status, .. } = cluster.array(4, IMAGES).output().unwrap();
    assert!(status.success(), "{}", cluster.logs());
    assert!(
        cluster.logs().contains("shard 3/4: 320 images finished"),
        "{}",
        cluster.logs()
    );
    let single = cluster.at("single.zarr");
    let alone = Command::new(env!("CARGO_BIN_EXE_decompose"))
        .args([
            "--model",
            "tiny_vit",
            "--out",
            &single,
            "--data",
            &format!("generated:11:{IMAGES}"),
        ])
        .output();
    assert!(alone.unwrap().status.success());
    let (a, b) = (
        Contributions::open(&out)?.load()?,
        Contributions::open(&single)?.load()?,
    );
    assert_eq!(a.image_names(), b.image_names());
    let (a, b) = (flat(a.values()), flat(b.values()));
    let most = b.iter().fold(0f32, |most, v| most.max(v.abs()));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6 * most));
    Ok(())
}
