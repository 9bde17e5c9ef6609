//! The kernel's five sockets, served by a thread of their own so that running code delays none of them.

use super::message::{Message, Signer};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use zeromq::{RepSocket, RouterRecvHalf, RouterSendHalf, RouterSocket, Socket, SocketRecv};
use zeromq::{SocketSend, XPubSocket, ZmqMessage};

/// How long to wait, when leaving, for what is still to be sent.
const PATIENCE: Duration = Duration::from_secs(2);

/// The file that tells a kernel where to listen.
#[derive(Deserialize)]
struct Connection {
    transport: String,
    ip: String,
    key: String,
    #[serde(default)]
    signature_scheme: String,
    shell_port: u16,
    control_port: u16,
    stdin_port: u16,
    iopub_port: u16,
    hb_port: u16,
}

impl Connection {
    fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the connection file {name}"))?;
        let connection: Connection = serde_json::from_str(&text)
            .with_context(|| format!("{name} is no connection file of Jupyter"))?;
        if connection.transport != "tcp" {
            bail!(
                "the transport {:?} in {name} is not spoken here; set Jupyter's to \"tcp\"",
                connection.transport
            );
        }
        if !(connection.key.is_empty() || connection.signature_scheme == "hmac-sha256") {
            bail!(
                "the signature scheme {:?} in {name} is not known; hmac-sha256 is",
                connection.signature_scheme
            );
        }
        Ok(connection)
    }

    fn address(&self, port: u16) -> String {
        format!("tcp://{}:{port}", self.ip)
    }
}

/// Which socket a request came by, and its reply goes by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Shell,
    Control,
    /// Questions go out by it, and answers come in.
    Stdin,
}

enum Outgoing {
    Message(Message),
    Reply(Channel, Message),
    Mark(Sender<()>),
}

/// Sends messages, from any thread.
#[derive(Clone)]
pub struct Wire {
    published: mpsc::UnboundedSender<Outgoing>,
    replies: mpsc::UnboundedSender<Outgoing>,
    backlog: Arc<Backlog>,
}

/// What is published and not yet sent: a client may read slowly, or not at all.
#[derive(Default)]
struct Backlog {
    bytes: AtomicUsize,
    /// Something was left out, and it has been said.
    is_cut: AtomicBool,
}

/// With more than this (in bytes) still to be sent, outputs of cells are left out.
const MOST_WAITING: usize = 1 << 26;

/// Messages that carry outputs of cells.
const OUTPUTS: [&str; 4] = [
    "stream",
    "display_data",
    "update_display_data",
    "execute_result",
];

const LEFT_OUT: &str = "... (output is left out here: it comes faster than it is read)\n";

impl Backlog {
    /// Whether there is room for an output of this size; otherwise, whether that has still to be said.
    fn takes(&self, size: usize) -> Result<(), bool> {
        if self.bytes.load(Ordering::Relaxed) + size > MOST_WAITING {
            return Err(!self.is_cut.swap(true, Ordering::Relaxed));
        }
        self.is_cut.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// Bytes of the texts in a message.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

impl Wire {
    /// Tells everybody.
    pub fn publish(&self, mut message: Message) {
        if OUTPUTS.contains(&message.kind())
            && let Err(is_news) = self.backlog.takes(size(&message.content))
        {
            if !is_news {
                return;
            }
            let content = json!({"name": "stderr", "text": LEFT_OUT});
            message = Message::published("stream", content, &message.parent);
        }
        let size = size(&message.content);
        self.backlog.bytes.fetch_add(size, Ordering::Relaxed);
        // Nobody is left to tell once the thread has ended.
        let _ = self.published.send(Outgoing::Message(message));
    }

    pub fn reply(&self, channel: Channel, message: Message) {
        let _ = self.replies.send(Outgoing::Reply(channel, message));
    }

    /// Waits until everything has been sent.
    pub fn flush(&self) {
        for queue in [&self.replies, &self.published] {
            let (done, wait) = bounded(1);
            if queue.send(Outgoing::Mark(done)).is_ok() {
                let _ = wait.recv_timeout(PATIENCE);
            }
        }
    }
}

/// The requests that come in.
pub struct Requests {
    pub shell: Receiver<Message>,
    pub control: Receiver<Message>,
    /// Answers to what a cell has asked the user.
    pub stdin: Receiver<Message>,
}

/// Opens the sockets that a connection file names.
pub fn open(file: &Path) -> Result<(Wire, Requests)> {
    let connection = Connection::read(file)?;
    let signer = Signer::new(&connection.key)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the sockets")?;
    let (published, to_publish) = mpsc::unbounded_channel();
    let (replies, to_reply) = mpsc::unbounded_channel();
    let (to_shell, shell) = unbounded();
    let (to_control, control) = unbounded();
    let (to_stdin, stdin) = unbounded();
    let sockets = runtime.block_on(Sockets::bind(&connection))?;
    let backlog = Arc::new(Backlog::default());
    let to_send = backlog.clone();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let (shell_send, shell_recv) = sockets.shell.split();
            let (control_send, control_recv) = sockets.control.split();
            let (stdin_send, stdin_recv) = sockets.stdin.split();
            tokio::join!(
                receive(shell_recv, &signer, &to_shell),
                receive(control_recv, &signer, &to_control),
                receive(stdin_recv, &signer, &to_stdin),
                send_replies(shell_send, control_send, stdin_send, &signer, to_reply),
                publish(sockets.iopub, &signer, to_publish, &to_send),
                beat(sockets.heartbeat),
            );
        });
    });
    Ok((
        Wire {
            published,
            replies,
            backlog,
        },
        Requests {
            shell,
            control,
            stdin,
        },
    ))
}

struct Sockets {
    shell: RouterSocket,
    control: RouterSocket,
    stdin: RouterSocket,
    iopub: XPubSocket,
    heartbeat: RepSocket,
}

impl Sockets {
    async fn bind(connection: &Connection) -> Result<Self> {
        Ok(Sockets {
            shell: bind(&connection.address(connection.shell_port)).await?,
            control: bind(&connection.address(connection.control_port)).await?,
            stdin: bind(&connection.address(connection.stdin_port)).await?,
            iopub: bind(&connection.address(connection.iopub_port)).await?,
            heartbeat: bind(&connection.address(connection.hb_port)).await?,
        })
    }
}

async fn bind<S: Socket>(address: &str) -> Result<S> {
    let mut socket = S::new();
    socket
        .bind(address)
        .await
        .with_context(|| format!("cannot listen at {address}"))?;
    Ok(socket)
}

async fn receive(mut socket: RouterRecvHalf, signer: &Signer, requests: &Sender<Message>) {
    loop {
        let Ok(frames) = socket.recv().await else {
            continue;
        };
        match signer.decode(frames) {
            Ok(message) => {
                if requests.send(message).is_err() {
                    return;
                }
            }
            Err(error) => eprintln!("{error} is not answered"),
        }
    }
}

async fn send_replies(
    mut shell: RouterSendHalf,
    mut control: RouterSendHalf,
    mut stdin: RouterSendHalf,
    signer: &Signer,
    mut replies: mpsc::UnboundedReceiver<Outgoing>,
) {
    while let Some(outgoing) = replies.recv().await {
        match outgoing {
            Outgoing::Reply(channel, message) => match signer.encode(message) {
                // A client that has gone away needs no reply.
                Ok(frames) => {
                    let socket = match channel {
                        Channel::Shell => &mut shell,
                        Channel::Control => &mut control,
                        Channel::Stdin => &mut stdin,
                    };
                    let _ = socket.send(frames).await;
                }
                Err(error) => eprintln!("{error:#}"),
            },
            Outgoing::Mark(done) => {
                let _ = done.send(());
            }
            Outgoing::Message(_) => {}
        }
    }
}

/// Publishes, and welcomes each subscriber: from then on it misses nothing.
async fn publish(
    mut socket: XPubSocket,
    signer: &Signer,
    mut messages: mpsc::UnboundedReceiver<Outgoing>,
    backlog: &Backlog,
) {
    loop {
        tokio::select! {
            subscription = socket.recv() => {
                if let Ok(subscription) = subscription
                    && let Some(topic) = subscribed(&subscription)
                {
                    let content = json!({"subscription": String::from_utf8_lossy(&topic)});
                    let mut message = Message::published("iopub_welcome", content, &json!({}));
                    message.identities = vec![topic];
                    send(&mut socket, signer, message).await;
                }
            }
            outgoing = messages.recv() => match outgoing {
                Some(Outgoing::Message(message)) => {
                    let size = size(&message.content);
                    send(&mut socket, signer, message).await;
                    backlog.bytes.fetch_sub(size, Ordering::Relaxed);
                }
                Some(Outgoing::Mark(done)) => {
                    let _ = done.send(());
                }
                Some(Outgoing::Reply(..)) => {}
                None => return,
            }
        }
    }
}

async fn send(socket: &mut XPubSocket, signer: &Signer, message: Message) {
    match signer.encode(message) {
        Ok(frames) => {
            // A client that has gone away needs no news.
            let _ = socket.send(frames).await;
        }
        Err(error) => eprintln!("{error:#}"),
    }
}

/// The topic of a subscription: a byte 1, then the topic. A byte 0 ends one.
fn subscribed(message: &ZmqMessage) -> Option<Bytes> {
    let frame = message.get(0)?;
    (frame.first() == Some(&1)).then(|| frame.slice(1..))
}

async fn beat(mut socket: RepSocket) {
    loop {
        if let Ok(message) = socket.recv().await {
            let _ = socket.send(message).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_is_left_out_and_said_once() {
        let (published, mut messages) = mpsc::unbounded_channel();
        let (replies, _to_reply) = mpsc::unbounded_channel();
        let wire = Wire {
            published,
            replies,
            backlog: Arc::default(),
        };
        let output = |text: String| {
            let content = json!({"name": "stdout", "text": text});
            Message::published("stream", content, &Value::Null)
        };
        for _ in 0..100 {
            wire.publish(output("x".repeat(1 << 20)));
        }
        let state = json!({"execution_state": "idle"});
        wire.publish(Message::published("status", state, &Value::Null));
        drop(wire);
        let mut texts = Vec::new();
        while let Ok(Outgoing::Message(message)) = messages.try_recv() {
            texts.push(message.content["text"].as_str().map(str::len));
        }
        assert_eq!(texts.len(), 63 + 2, "{texts:?}");
        assert_eq!(texts[63], Some(LEFT_OUT.len()));
        assert_eq!(texts[64], None);
    }
}
