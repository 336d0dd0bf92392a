//! How a stream of frames is framed.

use xs_core::{Frame, Result};

use crate::frame::frame_json;

/// How a stream of frames is framed.
///
/// ```
/// use xs_core::{Frame, FrameId};
/// use xs_wire::Framing;
/// let frame = Frame::topic("a")?.with_id(FrameId::MIN);
/// let mut out = Vec::new();
/// Framing::Ndjson.write(&mut out, &frame, false)?;
/// assert_eq!(out, format!("{}\n", frame.to_json()?).as_bytes());
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A frame a line.
    Ndjson,
    /// Server-sent events: `id` the frame's id, `data` the frame.
    Sse,
}

impl Framing {
    /// The media type of a body of such frames.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Sse => "text/event-stream",
        }
    }

    /// Writes a frame to the end of `out`.
    pub fn write(self, out: &mut Vec<u8>, frame: &Frame, with_timestamp: bool) -> Result<()> {
        let json = frame_json(frame, with_timestamp)?;
        let parts: &[&str] = match self {
            Self::Ndjson => &[&json, "\n"],
            Self::Sse => &["id: ", &frame.id.to_string(), "\ndata: ", &json, "\n\n"],
        };
        parts.iter().for_each(|part| out.extend(part.as_bytes()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other() {
        let frame = Frame::topic("a").unwrap().meta_text("[1,\n2]").unwrap();
        let frame = frame.with_id("03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap());
        let json = frame.to_json().unwrap();
        let written = |framing: Framing| {
            let mut out = Vec::new();
            framing.write(&mut out, &frame, false).unwrap();
            framing.write(&mut out, &frame, false).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Framing::Ndjson), format!("{json}\n{json}\n"));
        let event = format!("id: {}\ndata: {json}\n\n", frame.id);
        assert_eq!(written(Framing::Sse), event.repeat(2));
    }
}
