//! What both sockets answer in the same way: what the kernel is, what it is doing, and that it ends.

use super::message::{Message, PROTOCOL};
use super::wire::{Channel, Wire};
use serde_json::{Value, json};

/// What the kernel is doing.
#[derive(Clone, Copy)]
pub enum State {
    Starting,
    Busy,
    Idle,
}

/// Publishes what the kernel is doing because of `request`.
pub fn tell(wire: &Wire, request: &Message, state: State) {
    publish_state(wire, &request.header, state);
}

/// Publishes the kernel's state; `parent` is the header of the request that it is about.
pub fn publish_state(wire: &Wire, parent: &Value, state: State) {
    let state = match state {
        State::Starting => "starting",
        State::Busy => "busy",
        State::Idle => "idle",
    };
    let content = json!({"execution_state": state});
    wire.publish(Message::published("status", content, parent));
}

/// Answers a request that needs no session; one that is not known gets no answer, as the protocol wants.
pub fn answer_at_once(wire: &Wire, channel: Channel, request: &Message) {
    let content = match request.kind() {
        "kernel_info_request" => kernel_info(),
        "comm_info_request" => json!({"status": "ok", "comms": {}}),
        "comm_open" => {
            // There is no widget on this side: the other one is told to close.
            let id = &request.content["comm_id"];
            let content = json!({"comm_id": id, "data": {}});
            wire.publish(Message::published("comm_close", content, &request.header));
            return;
        }
        _ => return,
    };
    let kind = request.kind().replace("_request", "_reply");
    wire.reply(channel, request.reply(&kind, content));
}

fn kernel_info() -> Value {
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL,
        "implementation": "vitrepl",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "language_info": {
            "name": "rust",
            "version": "2024",
            "mimetype": "text/rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
        },
        "banner": format!(
            "vitrepl {}: Rust, with the library imported. :help lists commands.",
            env!("CARGO_PKG_VERSION")
        ),
        "debugger": false,
        "help_links": [],
    })
}

/// Says goodbye and ends the process; the child that runs the cells ends with it.
pub fn shut_down(wire: &Wire, channel: Channel, request: &Message) -> ! {
    let restart = request.content["restart"].as_bool().unwrap_or(false);
    let content = json!({"status": "ok", "restart": restart});
    wire.reply(channel, request.reply("shutdown_reply", content.clone()));
    wire.publish(Message::published(
        "shutdown_reply",
        content,
        &request.header,
    ));
    tell(wire, request, State::Idle);
    wire.flush();
    std::process::exit(0)
}
