//! What this runtime refuses, because it could not serve it as written: explanations of the codes with `R`.

use super::{Code, Explanation, new};

const SHARED: &str = "docs/shared-blocks.md: the rules of blocks";

pub(super) const TABLE: &[Explanation] = &[
    new(
        Code::Limits,
        "a file that is too large or too deep",
        "Files of YAML have at most one megabyte and 64 levels. The largest declarations have some thirty kilobytes and ten levels.",
        "a: [[[1]]]   # at most 64 levels",
        "this runtime: declare/yaml.rs",
    ),
    new(
        Code::RepeatedProvider,
        "two files declare the same provider",
        "A call names its provider, so each name is declared once. Rename one, or remove its file from `plugins.models`.",
        "plugins:\n  models: [provider/acme.yaml, provider/acme-copy.yaml]   # both with `provider: acme`",
        "this runtime: declare/load.rs",
    ),
    new(
        Code::UnreadModels,
        "models under a key that nothing reads",
        "The daemon ignores a group of models under an unknown key, so they would be missing without a word.",
        "models:\n  embedding:   # text_embedding\n    predefined: [\"models/*.yaml\"]",
        "dify-plugin-daemon: pkg/plugin_packager/decoder/helper.go",
    ),
    new(
        Code::BlockForm,
        "a shared block, or a reference to one, of the wrong form",
        "`shared:` lists files, a shared file is an object of named blocks, a block is an object or a list, and `use:` names one. \
         In a list block nothing can be changed where it is used.",
        "parameter_rules:\n  - use: [sampling]   # use: sampling",
        SHARED,
    ),
    new(
        Code::UnknownBlock,
        "a reference to a shared block that does not exist",
        "`use: NAME` is replaced by the block of that name in one of the files that the provider lists under `shared:`.",
        "parameter_rules:\n  - use: smapling   # sampling",
        SHARED,
    ),
    new(
        Code::RepeatedBlock,
        "two shared files define the same block",
        "A name of a block is unique among the shared files of a provider. Rename one.",
        "shared: [shared/a.yaml, shared/b.yaml]   # both define `sampling`",
        SHARED,
    ),
    new(
        Code::BlockLimits,
        "shared blocks in a circle, or too large when written out",
        "Blocks may refer to blocks, but not in a circle, not more than 16 deep, and a file may not grow by more than 256 kB.",
        "a: {use: b}\nb: {use: a}   # a circle",
        SHARED,
    ),
    new(
        Code::Difference,
        "the code has something else than the files declare",
        "A tool without code would fail when it is called, and code without a declaration is never called. `declare` changes the \
         files so that they match the code.",
        "parameters:\n  - name: querry   # the code reads `query`\n    type: string",
        "docs/write-a-tool.md: parameters come from the code",
    ),
    new(
        Code::NeededPermission,
        "the code needs a permission that the manifest does not request",
        "Dify refuses calls back from a plugin whose manifest does not request the permission. Users see it before they install.",
        "resource:\n  permission:\n    storage: {enabled: true, size: 1048576}   # for calls to the storage",
        "dify-plugin-daemon: internal/core/dify_invocation/transaction",
    ),
    new(
        Code::Unserved,
        "nothing serves a provider",
        "A provider is served by code of this executable, or by a dialect from facts in its file. This one has neither.",
        "provider: acme\nextra:\n  openai: {}   # facts for the dialect `openai`",
        "docs/provider-file.md: the facts of a provider",
    ),
    new(
        Code::WrongFacts,
        "facts about a provider are wrong",
        "A dialect reads its facts strictly, so that a mistyped key is not ignored. `facts --keys` lists every key.",
        "extra:\n  openai:\n    bas_url: https://api.acme.com/v1   # base_url",
        "docs/provider-file.md: every key",
    ),
    new(
        Code::UnownedFacts,
        "a file with facts belongs to no provider",
        "Facts about `provider/NAME.yaml` are in `provider/NAME.KEY.yaml` beside it. No provider of the manifest has this name.",
        "plugins:\n  models: [provider/acme.yaml]   # provider/acm.openai.yaml belongs to no file of this list",
        "docs/provider-file.md: facts in a file of their own",
    ),
    new(
        Code::NotEditable,
        "a file cannot be changed by declare",
        "`declare` changes what differs in place and keeps comments and order. It leaves alone what it cannot change without \
         rewriting it: anchors, aliases, keys over several lines. Change it by hand.",
        "parameters: &shared [{name: a, type: string}]   # an anchor",
        "this runtime: declare/yaml/edit.rs",
    ),
];
