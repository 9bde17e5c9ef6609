//! Requests that must not wait for running code: interrupt and shutdown.

use super::message::Message;
use super::requests::{self, State};
use super::sockets::{Channel, Wire};
use crate::interrupt::Interrupts;
use crossbeam_channel::Receiver;
use serde_json::json;

/// Serves the control socket in a thread of its own.
pub fn serve(wire: Wire, control: Receiver<Message>, interrupts: Interrupts) {
    std::thread::spawn(move || {
        for request in control {
            requests::tell(&wire, &request, State::Busy);
            match request.kind() {
                "interrupt_request" => {
                    interrupts.press();
                    let reply = request.reply("interrupt_reply", json!({"status": "ok"}));
                    wire.reply(Channel::Control, reply);
                }
                "shutdown_request" => shut_down(&wire, Channel::Control, &request),
                _ => requests::answer_at_once(&wire, Channel::Control, &request),
            }
            requests::tell(&wire, &request, State::Idle);
        }
    });
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
    requests::tell(wire, request, State::Idle);
    wire.flush();
    std::process::exit(0)
}
