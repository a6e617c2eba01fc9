//! The codes of problems: one for each rule, stable over releases, with an explanation, an example and the source of the rule.
//!
//! `D`: the daemon refuses it. `A`: the Dify API refuses it. `R`: this runtime refuses it, because it could not serve it as
//! written. `W`: a warning; Dify shows it differently than written, or ignores it. A code is never given to another rule. The
//! rules themselves are in [`super::rules`] and in the loader.

mod api;
mod daemon;
mod runtime;
mod shown;
mod unused;

use std::fmt;

use super::problem::Severity;

/// What is known about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// The rule in a few words.
    pub title: &'static str,
    /// What the rule is for, and what to do.
    pub text: &'static str,
    /// YAML that breaks the rule, with the better form in a comment.
    pub example: &'static str,
    /// Where the rule is from.
    pub source: &'static str,
}

/// An entry of a table.
const fn new(
    code: Code,
    title: &'static str,
    text: &'static str,
    example: &'static str,
    source: &'static str,
) -> Explanation {
    Explanation { code, title, text, example, source }
}

macro_rules! codes {
    ($($name:ident = $text:literal: $doc:literal,)*) => {
        /// The code of a problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $doc] $name,)*
        }

        impl Code {
            /// All codes, in the order of their texts.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it is shown: `D001`.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    OldDify = "A001": "An older Dify refuses a name.",
    NeededList = "A002": "A list that may be empty, but not missing.",
    InheritedTag = "A003": "A tag of the manifest that a provider of tools may not have.",
    ProviderName = "A004": "The name of a provider, which is part of an id.",
    SeveralValues = "A005": "`multiple` for a type that has one value.",
    EndpointPermission = "A006": "Endpoints without their permission.",
    Unreadable = "D001": "A file cannot be read.",
    NotYaml = "D002": "A file is not YAML.",
    RepeatedKey = "D003": "A key is in a mapping twice.",
    MissingFile = "D004": "A file that is named does not exist in the package.",
    SeveralFiles = "D005": "Several files where one is read.",
    Missing = "D010": "A required member is missing.",
    WrongType = "D011": "A value has another type.",
    NotAllowed = "D012": "A value is none of those that are allowed.",
    Length = "D013": "A text is empty or too long.",
    TooMany = "D014": "A list has too many entries.",
    Identifier = "D015": "A name with characters that it may not have.",
    Version = "D016": "Not a version.",
    Timestamp = "D017": "Not a timestamp.",
    Address = "D018": "Not a URL.",
    Decimal = "D019": "Not a decimal number.",
    Range = "D020": "A minimum above the maximum.",
    Together = "D021": "Types of plugins that share no package.",
    NoOptions = "D022": "A choice without options.",
    PlainDefault = "D023": "A default that is no plain value.",
    Scope = "D024": "A scope where none is allowed.",
    English = "D025": "A text without its English form.",
    Memory = "D026": "An amount of memory or storage out of its range.",
    Pattern = "D027": "A pattern of model files that cannot be used.",
    Limits = "R001": "A file that is too large or too deep.",
    RepeatedProvider = "R002": "Two files declare the same provider.",
    UnreadModels = "R003": "Models under a key that nothing reads.",
    BlockForm = "R010": "A shared block, or a reference to one, of the wrong form.",
    UnknownBlock = "R011": "A reference to a shared block that does not exist.",
    RepeatedBlock = "R012": "Two shared files define the same block.",
    BlockLimits = "R013": "Shared blocks that refer to each other in a circle, or grow too large.",
    Difference = "R020": "The code has something else than the files declare.",
    NeededPermission = "R021": "The code needs a permission that the manifest does not request.",
    Unserved = "R022": "Nothing serves a provider.",
    WrongFacts = "R023": "Facts about a provider are wrong.",
    UnownedFacts = "R024": "A file with facts belongs to no provider.",
    NotEditable = "R025": "A file cannot be changed by `declare`.",
    Switch = "W001": "A switch in a model form has no control.",
    SameVariable = "W002": "A variable twice: the first field is drawn for all.",
    SameVariableDefaults = "W003": "A variable twice: the last default is put in.",
    SecretDefault = "W004": "A default of a secret.",
    HiddenHelp = "W005": "A help, URL or tooltip that is not shown.",
    LengthAfterSave = "W006": "A length that is checked after saving only.",
    NeverShown = "W007": "A condition that never holds.",
    ModelTypeCondition = "W008": "A condition on the model type where there is none.",
    HiddenRequired = "W009": "A required field that may be hidden.",
    NotDrawn = "W010": "Members of a provider that are not shown.",
    NoDarkIcon = "W011": "No icon for dark pages.",
    PrecisionIgnored = "W012": "A precision that the slider does not follow.",
    NarrowSlider = "W013": "A slider that cannot be used.",
    NoSlider = "W014": "Only one end of a range.",
    RawOptions = "W015": "Options of a parameter are shown as they are.",
    OpenSecret = "W016": "A secret that is shown as it is typed.",
    RangeIgnored = "W017": "A range that is not enforced.",
    UnsavableEndpoint = "W018": "A required setting that false or 0 cannot be saved for.",
    NoControl = "W019": "A type without a control.",
    LostText = "W020": "A text that users of a language do not see.",
    OptionalEnglish = "W030": "An optional text without its English form.",
    Unquoted = "W031": "A number or a boolean where text is expected.",
    RepeatedName = "W032": "A name that is declared twice.",
    NoEffect = "W033": "A member without effect.",
    UnknownPermission = "W034": "A permission that gives nothing.",
    NoModelFiles = "W035": "A pattern that matches no model files.",
    NoSuchModel = "W036": "A position of a model that does not exist.",
    UnlistedType = "W037": "A model of a type that its provider does not list.",
    Nothing = "W038": "A list of parts that lists nothing.",
    DefaultNoOption = "W039": "A default that is none of the options.",
    NoLabel = "W040": "A parameter without a label.",
    RemoteLimit = "W041": "More than remote debugging or an endpoint takes.",
    PythonSdk = "W042": "Something that the Python SDK refuses.",
    OpenOauth = "W043": "OAuth credentials that are stored as plain text.",
    OldMeta = "W044": "A format of the manifest without tools of MCP servers.",
    ToolsName = "W045": "Tools in a parameter of another name.",
    OutputSchema = "W046": "A schema of outputs that Dify does not use.",
    NoSubscription = "W047": "A trigger without a button to subscribe.",
    OldDifyIgnores = "W048": "Something that an older Dify ignores.",
    TooOld = "W049": "A Dify without plugins.",
    PriceTier = "W050": "A price that is never used.",
    NeededForPackage = "W051": "A file that a package needs.",
    UnknownLanguage = "W052": "A text in something that is no language.",
    UnknownScope = "W053": "A part of a scope that is unknown.",
    UnusedBlock = "W054": "A shared block that nothing refers to.",
    SameAsBlock = "W055": "A member that changes nothing in a shared block.",
    UnusedFacts = "W056": "Facts that are not used.",
    OddFacts = "W057": "Facts that are probably not as meant.",
    SparePermission = "W058": "A permission that the code does not need.",
    OddDifference = "W059": "A declaration that differs from the code without harm.",
}

/// The texts about each code, one table for each letter and for the notes on what is drawn.
const TABLES: [&[Explanation]; 5] = [api::TABLE, daemon::TABLE, runtime::TABLE, shown::TABLE, unused::TABLE];

impl Code {
    /// The code of a text such as `w002`, whatever its case.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.text().eq_ignore_ascii_case(text))
    }

    /// Whether its problems are errors.
    pub fn severity(self) -> Severity {
        if self.text().starts_with('W') { Severity::Warning } else { Severity::Error }
    }

    /// Whether it asks for no change: Dify does something that an author should know, and that no declaration avoids.
    pub fn is_advice(self) -> bool {
        matches!(
            self,
            Self::LengthAfterSave
                | Self::HiddenRequired
                | Self::NotDrawn
                | Self::NoDarkIcon
                | Self::PrecisionIgnored
                | Self::NoSlider
                | Self::RawOptions
                | Self::RangeIgnored
                | Self::LostText
        )
    }

    /// What is known about it.
    pub fn explanation(self) -> Option<&'static Explanation> {
        TABLES.into_iter().flatten().find(|explanation| explanation.code == self)
    }

    /// The rule in a few words.
    pub fn title(self) -> &'static str {
        self.explanation().map_or("", |explanation| explanation.title)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_unique_sorted_and_explained() {
        let texts: Vec<&str> = Code::ALL.iter().map(|code| code.text()).collect();
        let mut sorted = texts.clone();
        sorted.sort_unstable();
        assert_eq!(texts, sorted);
        assert_eq!(texts.iter().collect::<HashSet<_>>().len(), texts.len());
        let explained: Vec<Code> = TABLES.into_iter().flatten().map(|explanation| explanation.code).collect();
        assert_eq!(explained, Code::ALL, "explanations are in the order of the codes, one each");
        let mut titles = HashSet::new();
        for code in Code::ALL {
            let Explanation { title, text, example, source, .. } = code.explanation().unwrap();
            assert!(titles.insert(title), "{code}: {title} is the title of two codes");
            assert!(title.len() <= 72 && !title.ends_with('.'), "{code}: {title}");
            assert!(text.len() >= 60 && text.ends_with('.'), "{code}: {text}");
            assert!(!example.is_empty() && !example.contains('\t'), "{code}");
            assert!(
                super::super::yaml::parse(example).is_ok() || matches!(code, Code::NotYaml | Code::RepeatedKey),
                "{code}: {example}"
            );
            assert!(source.contains(": ") || source.contains("docs/"), "{code}: {source}");
            assert_eq!(Code::named(&code.text().to_lowercase()), Some(*code));
        }
        for wrong in ["", "W", "W2", "D999", "W002 "] {
            assert_eq!(Code::named(wrong), None, "{wrong}");
        }
    }
}
