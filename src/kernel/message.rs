//! Messages of the Jupyter protocol, and their form on the wire: signed frames.
//!
//! Contents stay JSON: the protocol is defined as JSON, clients leave out fields at will, and each request
//! is read in one place.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeromq::ZmqMessage;

/// The version of the protocol that is spoken.
pub const PROTOCOL: &str = "5.4";

const DELIMITER: &[u8] = b"<IDS|MSG>";

/// One message, in either direction.
#[derive(Clone, Debug)]
pub struct Message {
    /// Whom it comes from or goes to; for a published message, its topic.
    pub identities: Vec<Bytes>,
    pub header: Value,
    /// Header of the message that this one answers or belongs to.
    pub parent: Value,
    pub content: Value,
}

impl Message {
    /// What kind it is, such as `execute_request`.
    pub fn kind(&self) -> &str {
        self.header["msg_type"].as_str().unwrap_or_default()
    }

    /// A message to whom this one came from.
    pub fn reply(&self, kind: &str, content: Value) -> Self {
        Message {
            identities: self.identities.clone(),
            ..Message::published(kind, content, &self.header)
        }
    }

    /// A message to everybody, because of the one with the header `parent`.
    pub fn published(kind: &str, content: Value, parent: &Value) -> Self {
        Message {
            identities: vec![Bytes::copy_from_slice(kind.as_bytes())],
            header: json!({"msg_type": kind}),
            parent: if parent.is_null() {
                json!({})
            } else {
                parent.clone()
            },
            content,
        }
    }
}

/// Signs and checks messages with the connection's key; an empty key means that nobody does.
#[derive(Clone)]
pub struct Signer {
    key: Option<Hmac<Sha256>>,
    session: String,
}

impl Signer {
    pub fn new(key: &str) -> Result<Self> {
        let key = match key {
            "" => None,
            key => Some(Hmac::new_from_slice(key.as_bytes()).context("an unusable key")?),
        };
        Ok(Signer {
            key,
            session: uuid::Uuid::new_v4().to_string(),
        })
    }

    /// The frames of a message.
    pub fn encode(&self, message: Message) -> Result<ZmqMessage> {
        let header = json!({
            "msg_id": uuid::Uuid::new_v4().to_string(),
            "session": self.session,
            "username": "vitrepl",
            "date": OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            "msg_type": message.kind(),
            "version": PROTOCOL,
        });
        let parts = [&header, &message.parent, &json!({}), &message.content]
            .map(|part| Bytes::from(part.to_string()));
        let mut frames = message.identities;
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(Bytes::from(self.signature(&parts)));
        frames.extend(parts);
        ZmqMessage::try_from(frames).map_err(|_| anyhow::anyhow!("a message without frames"))
    }

    /// The message in `frames`.
    ///
    /// # Errors
    /// When it is not signed with the key, or no message.
    pub fn decode(&self, frames: ZmqMessage) -> Result<Message> {
        let mut frames = frames.into_vec();
        let delimiter = frames
            .iter()
            .position(|frame| frame == DELIMITER)
            .context("a message without delimiter")?;
        // Buffers may follow the four parts; no request that is understood has any.
        let [signature, header, parent, metadata, content] = frames
            .get(delimiter + 1..delimiter + 6)
            .and_then(|parts| <&[Bytes; 5]>::try_from(parts).ok())
            .context("a message with parts missing")?;
        self.check(signature, [header, parent, metadata, content])?;
        let read = |part: &Bytes| serde_json::from_slice(part).context("a message that is no JSON");
        let (header, parent, content) = (read(header)?, read(parent)?, read(content)?);
        frames.truncate(delimiter);
        Ok(Message {
            identities: frames,
            header,
            parent,
            content,
        })
    }

    fn signature(&self, parts: &[Bytes; 4]) -> String {
        let Some(mut mac) = self.key.clone() else {
            return String::new();
        };
        for part in parts {
            mac.update(part);
        }
        hex::encode(mac.finalize().into_bytes())
    }

    fn check(&self, signature: &[u8], parts: [&Bytes; 4]) -> Result<()> {
        let Some(mut mac) = self.key.clone() else {
            return Ok(());
        };
        for part in parts {
            mac.update(part);
        }
        let signed = hex::decode(signature).is_ok_and(|bytes| mac.verify_slice(&bytes).is_ok());
        if !signed {
            bail!("a message with a wrong signature");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Message {
        let header = json!({"msg_type": "execute_request", "msg_id": "1"});
        Message::published("execute_request", json!({"code": "1 + 1"}), &header)
    }

    #[test]
    fn a_message_survives_the_wire_and_a_reply_goes_back_to_its_sender() {
        let signer = Signer::new("key").unwrap();
        let message = signer.decode(signer.encode(request()).unwrap()).unwrap();
        assert_eq!(message.kind(), "execute_request");
        assert_eq!(message.content["code"], "1 + 1");
        assert_eq!(message.parent["msg_id"], "1");
        let reply = message.reply("execute_reply", json!({"status": "ok"}));
        assert_eq!(reply.identities, message.identities);
        assert_eq!(reply.parent["msg_id"], message.header["msg_id"]);
    }

    #[test]
    fn what_is_not_signed_with_the_key_is_refused() {
        let signer = Signer::new("key").unwrap();
        let frames = signer.encode(request()).unwrap();
        assert!(
            Signer::new("other")
                .unwrap()
                .decode(frames.clone())
                .is_err()
        );
        assert!(Signer::new("").unwrap().decode(frames.clone()).is_ok());
        // A changed content, or a part less.
        let mut changed = frames.clone().into_vec();
        *changed.last_mut().unwrap() = Bytes::from(r#"{"code": "2 + 2"}"#);
        assert!(
            signer
                .decode(ZmqMessage::try_from(changed).unwrap())
                .is_err()
        );
        let mut shorter = frames.into_vec();
        shorter.pop();
        assert!(
            signer
                .decode(ZmqMessage::try_from(shorter).unwrap())
                .is_err()
        );
        assert!(signer.decode(ZmqMessage::from("text")).is_err());
    }

    /// RFC 4231, test case 2.
    #[test]
    fn signatures_are_hmac_sha256() {
        let signer = Signer::new("Jefe").unwrap();
        let parts = ["what do ya ", "want ", "for ", "nothing?"].map(Bytes::from);
        assert_eq!(
            signer.signature(&parts),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
