//! What a provider works out from the credentials of a call, kept beside them for later calls. What it is not: how long, and
//! for how many forms, which the runtime decides.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use crate::protocol::{Credentials, ModelType, Target};

/// A place for one value that follows from a model and its credentials alone, as the connection that a form describes. It is
/// forgotten with the credentials. Without a place, the value is worked out for each call.
#[derive(Clone, Default)]
pub struct Kept(Option<Arc<Place>>);

struct Place {
    model_type: ModelType,
    model: String,
    credentials: Credentials,
    value: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Kept {
    /// A place for these credentials of a model.
    pub(crate) fn of(target: &Target, model_type: ModelType) -> Self {
        let (model, credentials) = (target.model.clone(), target.credentials.clone());
        Self(Some(Arc::new(Place { model_type, model, credentials, value: OnceLock::new() })))
    }

    /// Returns the value that was kept for this model with these credentials, or makes and keeps it. An error is not kept, and
    /// neither is the value of another model or form, as a validation may try.
    pub fn get_or_make<T: Send + Sync + 'static, E>(
        &self,
        target: &Target,
        model_type: ModelType,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let place = self.0.as_ref().filter(|place| {
            place.model_type == model_type
                && place.model == target.model
                && place.credentials.matches(&target.credentials)
        });
        let kept = place.and_then(|place| place.value.get()).and_then(|value| value.clone().downcast().ok());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let made = Arc::new(make()?);
        if let Some(place) = place {
            // Another call may have been faster.
            let _ = place.value.set(made.clone());
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(model: &str, key: &str) -> Target {
        Target::new("p", model, Credentials::from_pairs([("key", key)]))
    }

    #[test]
    fn keeps_the_value_of_its_own_model_and_credentials_only() {
        let kept = Kept::of(&target("m", "k"), ModelType::Llm);
        let get = |kept: &Kept, target: &Target, model_type, value: u32| {
            *kept.get_or_make(target, model_type, || Ok::<_, ()>(value)).unwrap()
        };
        assert!(kept.get_or_make(&target("m", "k"), ModelType::Llm, || Err::<u32, _>(())).is_err());
        assert_eq!(get(&kept, &target("m", "k"), ModelType::Llm, 1), 1);
        for (other, model_type) in [
            (target("n", "k"), ModelType::Llm),
            (target("m", "l"), ModelType::Llm),
            (target("m", "k"), ModelType::Rerank),
        ] {
            assert_eq!(get(&kept, &other, model_type, 2), 2, "{other:?}");
        }
        assert_eq!(get(&kept, &target("m", "k"), ModelType::Llm, 3), 1);
        assert_eq!(
            kept.get_or_make(&target("m", "k"), ModelType::Llm, || Ok::<_, ()>("other type")).as_deref(),
            Ok(&"other type")
        );
        let nothing = Kept::default();
        assert_eq!([4, 5].map(|value| get(&nothing, &target("m", "k"), ModelType::Llm, value)), [4, 5]);
    }
}
