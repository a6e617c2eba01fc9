//! What was worked out for the credentials of a call: the completed form, the model's schema and what the provider made of
//! them, for later calls with the same credentials. Each provider's declaration has its own, so another declaration, or a
//! provider with other settings, starts with nothing.
//!
//! The credentials are compared whole. They are forgotten some minutes after they were completed, whether or not they are
//! used, and their values are overwritten then. What it is not: the rules of a form ([`super::form`]).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::declare::ModelSchema;
use crate::model::Kept;
use crate::protocol::{Credentials, ModelType, Target};

/// Maximum number of forms.
const MAX_FORMS: usize = 128;

/// Maximum length in bytes of a form; certificates make the longest ones.
const MAX_FORM_BYTES: usize = 32 * 1024;

/// How long a form is kept.
const TTL: Duration = Duration::from_secs(5 * 60);

/// The completed forms of one provider.
#[derive(Default)]
pub(super) struct CompletedForms {
    forms: Arc<Mutex<Forms>>,
    hasher: RandomState,
}

#[derive(Default)]
struct Forms {
    by_hash: HashMap<u64, Form>,
    /// Drops forms when their time is over, while there are any.
    forgetting: Option<AbortOnDropHandle<()>>,
}

struct Form {
    model_type: ModelType,
    model: String,
    /// The credentials as they were sent.
    given: Credentials,
    completed: CompletedForm,
    until: Instant,
}

/// A completed form of a model.
#[derive(Clone)]
pub(super) struct CompletedForm {
    /// The credentials with their defaults and further settings.
    pub credentials: Credentials,
    /// The schema of the model, unless it may change.
    pub schema: Option<Arc<ModelSchema>>,
    /// What the provider keeps.
    pub kept: Kept,
}

impl CompletedForms {
    /// Returns the completed form of these credentials.
    pub fn find(&self, target: &Target, model_type: ModelType) -> Option<CompletedForm> {
        let forms = self.lock();
        let form = forms.by_hash.get(&self.hash(target, model_type))?;
        let is_same = form.model_type == model_type
            && form.model == target.model
            && form.until > Instant::now()
            && form.given.matches(&target.credentials);
        is_same.then(|| form.completed.clone())
    }

    /// Keeps what was worked out for these credentials, given as they were sent.
    pub fn keep(&self, given: &Target, model_type: ModelType, completed: CompletedForm) {
        if given.credentials.bytes() + given.model.len() > MAX_FORM_BYTES
            || completed.credentials.bytes() > MAX_FORM_BYTES
        {
            return;
        }
        let form = Form {
            model_type,
            model: given.model.clone(),
            given: given.credentials.clone(),
            completed,
            until: Instant::now() + TTL,
        };
        let mut forms = self.lock();
        if forms.by_hash.len() >= MAX_FORMS
            && let Some(oldest) = forms.by_hash.iter().min_by_key(|(_, form)| form.until).map(|(hash, _)| *hash)
        {
            forms.by_hash.remove(&oldest);
        }
        forms.by_hash.insert(self.hash(given, model_type), form);
        // The runtime that forgets may have ended.
        if forms.forgetting.as_ref().is_none_or(AbortOnDropHandle::is_finished) {
            let forgetting = forget_in_time(Arc::downgrade(&self.forms));
            forms.forgetting = Some(AbortOnDropHandle::new(tokio::spawn(forgetting)));
        }
    }

    fn hash(&self, target: &Target, model_type: ModelType) -> u64 {
        self.hasher.hash_one((model_type, &target.model, target.credentials.fingerprint()))
    }

    fn lock(&self) -> MutexGuard<'_, Forms> {
        lock(&self.forms)
    }
}

fn lock(forms: &Mutex<Forms>) -> MutexGuard<'_, Forms> {
    forms.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drops forms when their time is over, until none is left.
async fn forget_in_time(forms: Weak<Mutex<Forms>>) {
    loop {
        let next = {
            let Some(forms) = forms.upgrade() else { return };
            let mut forms = lock(&forms);
            let now = Instant::now();
            forms.by_hash.retain(|_, form| form.until > now);
            let Some(next) = forms.by_hash.values().map(|form| form.until).min() else {
                forms.forgetting = None;
                return;
            };
            next
        };
        tokio::time::sleep_until(next).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(model: &str, key: &str) -> Target {
        Target::new("p", model, Credentials::from_pairs([("key", key)]))
    }

    fn completed(target: &Target) -> CompletedForm {
        let mut credentials = target.credentials.clone();
        credentials.set("size", "8");
        CompletedForm { credentials, schema: None, kept: Kept::default() }
    }

    fn keep(forms: &CompletedForms, target: &Target) {
        forms.keep(target, ModelType::Llm, completed(target));
    }

    #[tokio::test(start_paused = true)]
    async fn finds_the_same_credentials_of_the_same_model_until_their_time_is_over() {
        let forms = CompletedForms::default();
        keep(&forms, &target("m", "k"));
        let found = forms.find(&target("m", "k"), ModelType::Llm).unwrap();
        assert_eq!(found.credentials.get("size"), Some("8"), "the form's defaults are part of it");
        assert!(forms.find(&target("m", "k"), ModelType::Rerank).is_none());
        assert!(forms.find(&target("m", "l"), ModelType::Llm).is_none());
        assert!(forms.find(&target("n", "k"), ModelType::Llm).is_none());
        tokio::time::sleep(TTL - Duration::from_secs(1)).await;
        keep(&forms, &target("m", "l"));
        assert!(forms.find(&target("m", "k"), ModelType::Llm).is_some());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(forms.lock().by_hash.len(), 1, "forgotten without being asked for");
        tokio::time::sleep(TTL).await;
        assert!(forms.lock().by_hash.is_empty() && forms.lock().forgetting.is_none());
        keep(&forms, &target("m", "k"));
        tokio::time::sleep(TTL + Duration::from_secs(1)).await;
        assert!(forms.lock().by_hash.is_empty(), "forgotten again");
    }

    #[tokio::test]
    async fn an_equal_hash_is_not_enough() {
        let forms = CompletedForms::default();
        keep(&forms, &target("m", "k"));
        let other = target("m", "l");
        let hash = forms.hash(&other, ModelType::Llm);
        let mut table = forms.lock();
        let form = table.by_hash.drain().next().unwrap().1;
        table.by_hash.insert(hash, form);
        drop(table);
        assert!(forms.find(&other, ModelType::Llm).is_none());
    }

    #[tokio::test]
    async fn keeps_a_limited_number_of_forms_of_limited_length() {
        let forms = CompletedForms::default();
        for number in 0..=MAX_FORMS {
            keep(&forms, &target(&number.to_string(), "k"));
        }
        assert_eq!(forms.lock().by_hash.len(), MAX_FORMS);
        assert!(forms.find(&target(&MAX_FORMS.to_string(), "k"), ModelType::Llm).is_some());
        let long = target("m", &"k".repeat(MAX_FORM_BYTES));
        keep(&forms, &long);
        assert!(forms.find(&long, ModelType::Llm).is_none());
    }
}
