//! What the Dify API refuses: explanations of the codes with `A`. A plugin with such a problem installs, and then fails.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::OldDify,
        title: "a name that an older Dify refuses",
        text: "The package says that it runs from `minimum_dify_version` on, and that version does not know this name. It does \
               not skip it: it refuses the upload, or shows none of its providers. Raise `meta.minimum_dify_version` (or the \
               provider's `package.minimum_dify_version`), or leave the name out.",
        example: "meta:\n  minimum_dify_version: 1.0.0   # the tag below needs a newer one\ntags: [rag]",
        source: "langgenius/dify and dify-plugin-daemon: the enums of each release",
    },
    Explanation {
        code: Code::NeededList,
        title: "a list that may be empty, but not missing",
        text: "The daemon passes a missing list on as null, which the Dify API refuses together with the whole plugin. Write an \
               empty list.",
        example: "oauth_schema:\n  client_schema: []\n  credentials_schema: []   # not: left out",
        source: "langgenius/dify: api/core/plugin/entities/plugin.py",
    },
    Explanation {
        code: Code::InheritedTag,
        title: "a tag of the manifest that a tool provider may not have",
        text: "A tool provider without tags takes those of the manifest, where more are known. With one that the Dify API does \
               not know for tools it shows no tools at all. Give the provider `identity.tags` of its own.",
        example: "tags: [agent]   # in manifest.yaml; the tool provider has no identity.tags",
        source: "langgenius/dify: api/core/tools/entities/tool_entities.py",
    },
    Explanation {
        code: Code::ProviderName,
        title: "a provider's name with other characters than a-z, 0-9, _ and -",
        text: "Dify makes the id `author/plugin/provider` of it, and takes small letters, digits, `_` and `-` in that id only.",
        example: "identity:\n  name: MyProvider   # my_provider",
        source: "langgenius/dify: api/models/provider_ids.py",
    },
    Explanation {
        code: Code::SeveralValues,
        title: "several values of a type that has one",
        text: "`multiple: true` is allowed for select, dynamic-select and checkbox. With any other type the Dify API refuses the \
               provider and shows no tools at all.",
        example: "parameters:\n  - name: words\n    type: string\n    multiple: true   # leave it out",
        source: "langgenius/dify: api/core/plugin/entities/parameters.py",
    },
    Explanation {
        code: Code::EndpointPermission,
        title: "endpoints without their permission",
        text: "Dify sets an endpoint up only if the manifest requests the permission for it.",
        example: "resource:\n  permission:\n    endpoint:\n      enabled: true   # needed beside plugins.endpoints",
        source: "dify-plugin-daemon: internal/service/setup_endpoint.go",
    },
];
