//! Intended differences that occur with the plugins that each entry names.

use super::{Intended, added, at, ours, recorded};

/// All of them.
pub const INTENDED: &[Intended] = &[
    Intended {
        name: "texts are embedded as they are",
        fault: None,
        reason: "the recorded code sends token numbers and averages the vectors of pieces, which only one vendor's servers understand",
        is: |c, d| {
            c.is("invoke_text_embedding")
                && c.of(&["cometapi", "deerapi", "openai", "azure_openai", "upstage"])
                && (at(d, "requests[0].body.input[*]")
                    || at(d, "answer.embeddings[*][*]")
                    || at(d, "answer.usage[*]")
                    || at(d, "answer.price*"))
        },
    },
    Intended {
        name: "the version of the address is kept",
        fault: Some(24),
        reason: "the recorded code loses `/v1` of its own default address",
        is: |c, d| {
            c.of(&["yi", "regolo", "baichuan"])
                && at(d, "requests[*].url")
                && ours(d).zip(recorded(d)).is_some_and(|(ours, recorded)| {
                    ours.replace("/v1/", "/") == recorded || ours.replace("https:", "http:") == recorded
                })
        },
    },
    Intended {
        name: "keys of servers without keys",
        fault: None,
        reason: "the recorded code sends a placeholder that differs by model type",
        is: |c, d| {
            c.of(&["localai", "lemonade"])
                && at(d, "requests[*].headers.authorization")
                && recorded(d) != Some("Bearer test-key")
        },
    },
    Intended {
        name: "raw rerank scores",
        fault: Some(18),
        reason: "scores are those of the server, not stretched between the smallest and the largest",
        is: |c, d| c.of(&["huaweicloud_maas", "lemonade"]) && at(d, "answer.docs[*"),
    },
    Intended {
        name: "a model is validated by a call of it",
        fault: None,
        reason: "the recorded code asks for other things, or for nothing, so that a wrong name is found in the first chat only",
        is: |c, d| {
            c.is("validate_model")
                && c.of(&[
                    "lemonade",
                    "volcengine",
                    "byteplus",
                    "huggingface_tei",
                    "openai",
                    "modelscope",
                    "siliconflow",
                    "azure_openai",
                    "azure_ai_studio",
                ])
                && (at(d, "requests*") || d.at == "answer")
        },
    },
    Intended {
        name: "the model that a validation calls",
        fault: None,
        reason: "a template names the model of the call by `model`, so a field of that name cannot choose it",
        is: |c, d| c.of(&["x"]) && c.is("validate_provider") && at(d, "requests[0].body.model"),
    },
    Intended {
        name: "two calls of one function are two",
        fault: Some(12),
        reason: "the recorded code merges the fragments of calls by name, or loses them",
        is: |c, d| c.of(&["stepfun", "zhipuai", "azure_ai_studio", "gitee_ai"]) && at(d, "answer.calls*"),
    },
    Intended {
        name: "no key of a prompt cache",
        fault: None,
        reason: "the identifier of the end user is not used as the key of a cache",
        is: |c, d| c.of(&["openai"]) && at(d, "requests[0].body.prompt_cache_key") && d.ours.is_none(),
    },
    Intended {
        name: "addresses with deployments",
        fault: None,
        reason: "an address that ends in `/openai/v1` has neither deployments nor a version; it is not served yet",
        is: |c, d| {
            c.of(&["azure_openai"])
                && c.name().contains("v1 base")
                && (at(d, "requests[0].url") || at(d, "requests[0].headers.*"))
        },
    },
    Intended {
        name: "the key is sent once",
        fault: None,
        reason: "the recorded code sends the key in two headers",
        is: |c, d| c.of(&["azure_ai_studio"]) && at(d, "requests[0].headers.authorization") && d.ours.is_none(),
    },
    Intended {
        name: "a ranking has an address of its own",
        fault: None,
        reason: "the recorded code posts a ranking to the address of the endpoint, or to one that the server does not have",
        is: |c, d| c.of(&["azure_ai_studio", "lemonade"]) && c.is("invoke_rerank") && at(d, "requests[0].url"),
    },
    Intended {
        name: "bounds of the form",
        fault: None,
        reason: "the number of tokens and the context are those of the form, and prices those of the facts",
        is: |c, d| {
            c.of(&["volcengine_maas", "azure_openai", "openai"])
                && (at(d, "requests[0].body.max_tokens")
                    || at(d, "answer.schema.properties.context_size")
                    || at(d, "answer.schema.pricing*"))
        },
    },
    Intended {
        name: "types keep their addresses",
        fault: None,
        reason: "the recorded code stores the address of chat at validation and then uses it for the other types",
        is: |c, d| {
            c.of(&["huaweicloud_maas"])
                && at(d, "requests[0].url")
                && ours(d).is_some_and(|ours| recorded(d) == Some(&ours.replace("/v1/", "/v2/")))
        },
    },
    Intended {
        name: "a video is sent once",
        fault: None,
        reason: "the recorded code sends it twice",
        is: |c, d| c.of(&["moonshot"]) && c.prompt() == "video" && d.ours.is_none(),
    },
    Intended {
        name: "all texts are embedded",
        fault: None,
        reason: "the recorded code embeds the first text only, or refuses several",
        is: |c, d| {
            c.of(&["nvidia", "localai", "huggingface_tei"])
                && c.is("invoke_text_embedding")
                && (at(d, "requests[0].body.input*") || d.at.starts_with("answer"))
        },
    },
    Intended {
        name: "a threshold applies",
        fault: None,
        reason: "the recorded code ignores it",
        is: |c, d| {
            c.of(&["nvidia"]) && c.name() == "rerank with a threshold" && at(d, "answer.docs[*]") && d.ours.is_none()
        },
    },
    Intended {
        name: "empty messages are dropped",
        fault: None,
        reason: "where a server refuses empty messages, those of the system and of the assistant are meant too",
        is: |c, d| {
            c.of(&["deepseek", "zhipuai", "moonshot"])
                && c.prompt().starts_with("empty_")
                && at(d, "requests[0].body.messages[*")
        },
    },
    Intended {
        name: "texts in either form are read",
        fault: None,
        reason: "the recorded code reads one member of a response by the model and loses the other",
        is: |c, d| c.of(&["perfxcloud", "baichuan"]) && d.at == "answer.text" && recorded(d) == Some(""),
    },
    Intended {
        name: "the declared price",
        fault: None,
        reason: "the recorded code calculates with the price of another model, or none; of two declarations of one name the first counts",
        is: |c, d| {
            c.of(&["mistralai", "regolo", "aihubmix"]) && c.is("invoke_text_embedding") && at(d, "answer.price*")
        },
    },
    Intended {
        name: "an address is not extended twice",
        fault: None,
        reason: "an address that ends in `/v1/` is complete",
        is: |c, d| {
            c.of(&["gmicloud"]) && at(d, "requests[0].url") && recorded(d).is_some_and(|url| url.contains("//v1/"))
        },
    },
    Intended {
        name: "converted parameters are not sent too",
        fault: None,
        reason: "the recorded code sends the parameter in addition to its converted form, or in a form that the server does not know",
        is: |c, d| {
            c.of(&["baichuan", "modelscope"])
                && (at(d, "requests[0].body.with_search_enhance")
                    || at(d, "requests[0].body.res_format")
                    || at(d, "requests[0].body.response_format"))
        },
    },
    Intended {
        name: "no prompt of its own",
        fault: None,
        reason: "a transcription gets a prompt only if the form has one",
        is: |c, d| {
            c.of(&["openai_api_compatible"])
                && at(d, "requests[0].form[*")
                && d.recorded.as_ref().is_some_and(|part| part["name"] == "prompt")
        },
    },
    Intended {
        name: "a schema in the prompt in our words",
        fault: None,
        reason: "the same instruction in other words, in the system message",
        is: |c, d| {
            c.of(&["gpustack", "lemonade", "openai_api_compatible"])
                && c.name().starts_with("custom json_")
                && at(d, "requests[0].body.messages[*")
        },
    },
    Intended {
        name: "the model is named",
        fault: None,
        reason: "a body that names the model is understood by every server of the type",
        is: |c, d| c.of(&["huggingface_tei"]) && added(d) && at(d, "requests[0].body.model"),
    },
    Intended {
        name: "a schema keeps its name",
        fault: None,
        reason: "the name and strictness that the user gave are sent",
        is: |c, d| c.of(&["openrouter"]) && at(d, "requests[0].body.response_format.json_schema.*"),
    },
    Intended {
        name: "functions are tools",
        fault: None,
        reason: "forms that offer only the older form get tool calls, which their servers have",
        is: |c, d| {
            c.of(&["siliconflow", "yi"])
                && c.name().ends_with(": functions")
                && d.ours.is_none()
                && at(d, "requests[0].body.*")
        },
    },
    Intended {
        name: "models that generate videos",
        fault: None,
        reason: "polling is not served; a customizable model is a chat model",
        is: |c, d| c.of(&["volcengine", "byteplus"]) && at(d, "answer.schema.*"),
    },
    Intended {
        name: "speech recognition by WebSocket",
        fault: None,
        reason: "is not served",
        is: |c, d| c.of(&["volcengine_maas"]) && c.case["model_type"] == "speech2text" && d.at.starts_with("answer"),
    },
    Intended {
        name: "addresses are tried for the provider",
        fault: None,
        reason: "a customizable model has the default address until its form has another; addresses are not tried for it yet",
        is: |c, d| c.of(&["moonshot"]) && c.name().starts_with("custom ") && at(d, "requests[0].url"),
    },
    Intended {
        name: "one member for the end user",
        fault: None,
        reason: "the recorded code uses an older member for addresses that are not the vendor's",
        is: |c, d| {
            c.of(&["openai"])
                && c.name().starts_with("credentials: other address")
                && (d.at.ends_with(".user") || d.at.ends_with(".safety_identifier"))
        },
    },
];
