//! Requests that must not wait for running code: interrupt and shutdown.

use super::message::Message;
use super::replies::{State, answer_at_once, shut_down, tell};
use super::wire::{Channel, Wire};
use crate::session::interrupt::Interrupts;
use crossbeam_channel::Receiver;
use serde_json::json;

/// Serves the control socket in a thread of its own.
pub fn serve(wire: Wire, control: Receiver<Message>, interrupts: Interrupts) {
    std::thread::spawn(move || {
        for request in control {
            tell(&wire, &request, State::Busy);
            match request.kind() {
                "interrupt_request" => {
                    interrupts.press();
                    let reply = request.reply("interrupt_reply", json!({"status": "ok"}));
                    wire.reply(Channel::Control, reply);
                }
                "shutdown_request" => shut_down(&wire, Channel::Control, &request),
                _ => answer_at_once(&wire, Channel::Control, &request),
            }
            tell(&wire, &request, State::Idle);
        }
    });
}
