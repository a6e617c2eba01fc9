//! Token counts. Null, negative and unreadable counts are treated as missing.

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};

use super::text::Number;
use crate::dialect::openai::members::{Members, Object};

/// Maximum value of a count, so that no sum of counts overflows.
const MAX_COUNT: f64 = (1u64 << 53) as f64;

/// Token usage that was reported so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    prompt_tokens: Option<u64>,
    input_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    output_tokens: Option<u64>,
    /// Prompt and completion tokens.
    pub total_tokens: Option<u64>,
    /// Prompt tokens that were read from a cache.
    pub cached_tokens: Option<u64>,
    /// Completion tokens that are thoughts.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Returns the prompt tokens, under either of their names.
    pub fn prompt(&self) -> Option<u64> {
        self.prompt_tokens.or(self.input_tokens)
    }

    /// Returns the completion tokens, under either of their names.
    pub fn completion(&self) -> Option<u64> {
        self.completion_tokens.or(self.output_tokens)
    }

    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Merges a later report: the last value of each count wins, except that zero does not replace a count.
    pub fn absorb(&mut self, later: Self) {
        let fields: [(&mut Option<u64>, Option<u64>); 7] = [
            (&mut self.prompt_tokens, later.prompt_tokens),
            (&mut self.input_tokens, later.input_tokens),
            (&mut self.completion_tokens, later.completion_tokens),
            (&mut self.output_tokens, later.output_tokens),
            (&mut self.total_tokens, later.total_tokens),
            (&mut self.cached_tokens, later.cached_tokens),
            (&mut self.reasoning_tokens, later.reasoning_tokens),
        ];
        for (known, later) in fields {
            if known.is_none() || later.is_some_and(|later| later > 0) {
                *known = later;
            }
        }
    }
}

impl<'de> Members<'de> for Usage {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let place = match name {
            "prompt_tokens" => &mut self.prompt_tokens,
            "input_tokens" => &mut self.input_tokens,
            "completion_tokens" => &mut self.completion_tokens,
            "output_tokens" => &mut self.output_tokens,
            "total_tokens" => &mut self.total_tokens,
            // DeepSeek.
            "prompt_cache_hit_tokens" => &mut self.cached_tokens,
            "prompt_tokens_details" => {
                self.cached_tokens = map.next_value::<Object<Details>>()?.0.and_then(|details| details.cached);
                return Ok(true);
            }
            "completion_tokens_details" => {
                self.reasoning_tokens = map.next_value::<Object<Details>>()?.0.and_then(|details| details.reasoning);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *place = count(map.next_value()?);
        Ok(true)
    }
}

#[derive(Default)]
struct Details {
    cached: Option<u64>,
    reasoning: Option<u64>,
}

impl<'de> Members<'de> for Details {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "cached_tokens" => self.cached = count(map.next_value()?),
            "reasoning_tokens" => self.reasoning = count(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn count(reported: Number) -> Option<u64> {
    reported.0.filter(|number| *number >= 0.0).map(|number| number.min(MAX_COUNT) as u64)
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer).map(|found| found.0.unwrap_or_default())
    }
}
