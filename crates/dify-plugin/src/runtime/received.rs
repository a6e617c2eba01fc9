//! What a line from the daemon is: a request, a cancellation or a response of Dify. Its payload is found, and not parsed.

use std::ops::Range;
use std::sync::Arc;

use crate::protocol::envelope::Origin;
use crate::protocol::lenient::reason;
use crate::protocol::{Inbound, InboundEvent, Payload};

/// A line whose envelope was parsed.
pub(super) enum Received {
    Request(Arc<str>, Found),
    Cancel(Arc<str>),
    /// A response of Dify, with the range of its payload.
    BackwardsResponse(Range<usize>),
    /// A response of Dify that cannot be read.
    BrokenResponse,
    Other,
    Unparsed,
}

/// Range of a request's payload in its line, or why the line is invalid; and the origin of the request.
pub(super) struct Found {
    place: Result<Range<usize>, String>,
    origin: Origin,
}

impl Received {
    pub(super) fn of(line: &[u8]) -> Self {
        match Inbound::parse(line) {
            Ok(inbound) => match inbound.event {
                InboundEvent::Request => {
                    let place = inbound.payload_in(line).ok_or_else(|| "the request has no `data`".to_owned());
                    let origin = inbound.origin();
                    Self::Request(Arc::from(inbound.session_id), Found { place, origin })
                }
                InboundEvent::Cancel => Self::Cancel(Arc::from(inbound.session_id)),
                InboundEvent::BackwardsResponse => {
                    inbound.payload_in(line).map_or(Self::Other, Self::BackwardsResponse)
                }
                InboundEvent::Other(_) => Self::Other,
            },
            // Its session is open and must not end because of it.
            Err(_) if Inbound::salvage_event(line) == Some(InboundEvent::BackwardsResponse) => Self::BrokenResponse,
            Err(error) => match Inbound::salvage_session_id(line) {
                Some(session_id) => {
                    let problem = format!("cannot parse the request: {}", reason(&error));
                    Self::Request(Arc::from(session_id), Found { place: Err(problem), origin: Origin::default() })
                }
                None => Self::Unparsed,
            },
        }
    }
}

impl Found {
    /// The payload within the line that this was found in.
    pub(super) fn of(self, line: Vec<u8>) -> Result<Payload, String> {
        self.place.map(|place| Payload::new(line, place).with_origin(self.origin))
    }
}
