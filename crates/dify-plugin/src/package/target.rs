//! Target platforms of the executables in a package.

use std::fmt;
use std::str::FromStr;

/// An operating system and CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Target {
    /// Linux on x86-64.
    LinuxAmd64,
    /// Linux on 64-bit ARM.
    LinuxArm64,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 2] = [Self::LinuxAmd64, Self::LinuxArm64];

    /// Returns Dify's name (`linux-amd64`).
    pub fn name(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "linux-amd64",
            Self::LinuxArm64 => "linux-arm64",
        }
    }

    /// Returns the value for `meta.arch` in a manifest.
    pub fn arch(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "amd64",
            Self::LinuxArm64 => "arm64",
        }
    }

    /// Returns the target triple of the compiler.
    pub fn triple(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64-unknown-linux-musl",
            Self::LinuxArm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// Returns the platform tags of a wheel. They include any C library of the last ten years, because the executable
    /// is static.
    pub fn platform_tags(self) -> [String; 3] {
        let cpu = match self {
            Self::LinuxAmd64 => "x86_64",
            Self::LinuxArm64 => "aarch64",
        };
        [format!("manylinux_2_17_{cpu}"), format!("manylinux2014_{cpu}"), format!("musllinux_1_1_{cpu}")]
    }

    /// Returns the machine type in an ELF header.
    pub fn elf_machine(self) -> u16 {
        match self {
            Self::LinuxAmd64 => 62,
            Self::LinuxArm64 => 183,
        }
    }

    /// Returns the command that builds the executable.
    pub fn build_command(self) -> String {
        format!("rustup target add {0} && cargo zigbuild --release --no-default-features --target {0}", self.triple())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|target| target.name() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|target| target.name()).collect();
            format!("unknown target `{text}`; expected one of {}", known.join(", "))
        })
    }
}
