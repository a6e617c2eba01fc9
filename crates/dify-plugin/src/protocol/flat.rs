//! Defines requests that have the members of another struct beside their own: model and credentials, or provider and user. What
//! it is not: serde's `flatten`, which copies every member, secrets included, before it decodes any.

/// Defines a struct with the field `$part`, whose members are on the wire beside the struct's own.
macro_rules! flat {
    (
        $part:ident: $kind:ident, $part_doc:literal {
            $($(#[serde($($member_how:tt)*)])? $member:ident: $member_type:ty,)+
        }
        $(#[doc = $about:expr])*
        pub struct $name:ident {
            $($(#[doc = $doc:expr])* $(#[serde($($how:tt)*)])? pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct $name {
            #[doc = $part_doc]
            pub $part: $kind,
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        const _: () = {
            type Request = $name;
            const _: () = {
                // Errors name the struct.
                #[derive(serde::Deserialize)]
                struct $name {
                    $($(#[serde($($member_how)*)])? $member: $member_type,)+
                    $($(#[serde($($how)*)])? $field: $type,)*
                }

                impl<'de> serde::Deserialize<'de> for Request {
                    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        let $name { $($member,)+ $($field,)* } = serde::Deserialize::deserialize(deserializer)?;
                        Ok(Self { $part: $kind { $($member,)+ }, $($field,)* })
                    }
                }
            };
        };
    };
}

/// Defines requests to a model.
macro_rules! with_target {
    ($($(#[doc = $about:expr])* pub struct $name:ident { $($fields:tt)* })+) => {$(
        $crate::protocol::flat::flat! {
            target: Target, " Model and credentials." {
                provider: String,
                model: String,
                #[serde(default, deserialize_with = "crate::protocol::lenient::null_default")]
                credentials: Credentials,
                #[serde(default, deserialize_with = "crate::protocol::lenient::null_default")]
                user_id: String,
            }
            $(#[doc = $about])*
            pub struct $name { $($fields)* }
        }
    )+};
}

/// Defines requests of tools, datasources, triggers and dynamic options.
macro_rules! with_access {
    ($($(#[doc = $about:expr])* pub struct $name:ident { $($fields:tt)* })+) => {$(
        $crate::protocol::flat::flat! {
            access: Access, " Provider, credentials and user." {
                provider: String,
                #[serde(default, deserialize_with = "crate::protocol::lenient::null_default")]
                credentials: crate::protocol::Credentials,
                #[serde(default, deserialize_with = "crate::protocol::lenient::lenient")]
                credential_type: Option<crate::protocol::access::CredentialType>,
                #[serde(default, deserialize_with = "crate::protocol::lenient::lenient")]
                user_id: String,
            }
            $(#[doc = $about])*
            pub struct $name { $($fields)* }
        }
    )+};
}

/// Defines requests of OAuth.
macro_rules! with_oauth_access {
    ($($(#[doc = $about:expr])* pub struct $name:ident { $($fields:tt)* })+) => {$(
        $crate::protocol::flat::flat! {
            access: OAuthAccess, " What all actions have in common." {
                provider: String,
                #[serde(default, deserialize_with = "crate::protocol::lenient::null_default")]
                redirect_uri: String,
                #[serde(default, deserialize_with = "crate::protocol::lenient::null_default")]
                system_credentials: Credentials,
                #[serde(default, deserialize_with = "crate::protocol::lenient::lenient")]
                user_id: String,
            }
            $(#[doc = $about])*
            pub struct $name { $($fields)* }
        }
    )+};
}

pub(super) use {flat, with_access, with_oauth_access, with_target};
