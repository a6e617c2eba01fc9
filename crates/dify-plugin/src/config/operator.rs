//! Permissions that the machine's operator grants, in the process's environment or in one file outside all plugin
//! directories. They are not read from `.env`, which belongs to the author of the plugin directory.
//!
//! The file exists because newer plugin daemons pass only a short list of variables on to plugins
//! (`dify-plugin-daemon` pull request 799). Its path is fixed, and only the operator can write there.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use url::Url;

use super::env_file::{self, EnvFile};
use super::machine::{ALLOW_IDENTITY, ALLOW_TOKEN_FILES, ALLOW_TOKEN_URLS, MachineAccess};
use super::{ConfigError, DAEMON_LINE_LIMITS, LINE_LIMIT, flag, invalid, line_limit, text};

/// File with one `NAME=value` per line; the names are those of the environment variables.
pub const FILE: &str = "/etc/dify-plugin-runtime/operator.env";

const CREDENTIALS_FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const METADATA_HOST: &str = "GCE_METADATA_HOST";

/// Names that are read here: the permissions of [`MachineAccess`] (paths separated by `:`, URLs by spaces), and the
/// location of Google's credentials and metadata server.
pub const NAMES: [&str; 5] = [ALLOW_IDENTITY, ALLOW_TOKEN_FILES, ALLOW_TOKEN_URLS, CREDENTIALS_FILE, METADATA_HOST];

/// The operator's permissions and settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// Permissions; an invalid one is not granted.
    pub access: MachineAccess,
    /// Maximum line length in bytes that the daemon accepts, if it is set.
    pub line_limit: Option<usize>,
    /// Settings that are not used, or the file, with the reason.
    pub problems: Vec<String>,
}

impl Operator {
    /// Reads the environment and the file.
    pub fn read() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let names = NAMES.iter().chain(&DAEMON_LINE_LIMITS).chain([&LINE_LIMIT]);
        let environment = names.filter_map(|name| Some(((*name).to_owned(), set(name)?)));
        Self::of(environment.collect(), Path::new(FILE), std::env::var_os("HOME").map(PathBuf::from))
    }

    /// The environment takes precedence over the file. Without a setting, Google's credentials file is looked up in
    /// `home`.
    fn of(mut settings: HashMap<String, String>, file: &Path, home: Option<PathBuf>) -> Self {
        let mut problems = Vec::new();
        match read_file(file) {
            Ok(lines) => lines.into_iter().for_each(|(name, value)| {
                settings.entry(name).or_insert(value);
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => problems.push(format!("{} is not used: {error}", file.display())),
        }
        let mut try_read = |outcome: Result<(), ConfigError>| {
            if let Err(ConfigError { name, problem }) = outcome {
                problems.push(format!("{name} {problem}"));
            }
        };
        let mut access = MachineAccess::default();
        try_read(flag(&settings, ALLOW_IDENTITY).map(|allowed| access.identity = allowed));
        try_read(paths(&settings, ALLOW_TOKEN_FILES).map(|paths| access.token_files = paths));
        try_read(urls(&settings, ALLOW_TOKEN_URLS).map(|urls| access.token_urls = urls));
        let well_known = home.map(|home| home.join(".config/gcloud/application_default_credentials.json"));
        access.credentials_file =
            text(&settings, CREDENTIALS_FILE).map(PathBuf::from).or(well_known.filter(|path| path.is_file()));
        access.metadata_host = text(&settings, METADATA_HOST).map(str::to_owned);
        let mut max_line = None;
        try_read(line_limit(&settings).map(|limit| max_line = limit));
        Self { access, line_limit: max_line, problems }
    }
}

/// Reads the settings of a file that only its owner can write.
fn read_file(path: &Path) -> io::Result<Vec<(String, String)>> {
    let rejected = |why: &str| Err(io::Error::other(why.to_owned()));
    // Opening a pipe would block.
    if !std::fs::metadata(path)?.is_file() {
        return rejected("not a regular file");
    }
    let file = File::open(path)?;
    if file.metadata()?.mode() & 0o022 != 0 {
        return rejected("other users can write to it; run chmod go-w on it");
    }
    let EnvFile { settings, invalid_lines } = env_file::read_open(file)?;
    match invalid_lines.first() {
        None => Ok(settings),
        Some(line) => rejected(&format!("line {line} is invalid")),
    }
}

fn paths(settings: &HashMap<String, String>, name: &'static str) -> Result<Vec<PathBuf>, ConfigError> {
    let text = text(settings, name);
    let paths: Vec<PathBuf> = text.map(|text| std::env::split_paths(text).collect()).unwrap_or_default();
    match paths.iter().find(|path| !path.is_absolute()) {
        None => Ok(paths),
        Some(path) => {
            Err(invalid(name, format!("must be absolute paths separated by `:`, found `{}`", path.display())))
        }
    }
}

fn urls(settings: &HashMap<String, String>, name: &'static str) -> Result<Vec<Url>, ConfigError> {
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
    let words = text(settings, name).unwrap_or_default().split_whitespace();
    let parsed: Option<_> = words.map(|word| Url::parse(word).ok().filter(is_web)).collect();
    parsed.ok_or_else(|| invalid(name, "must be http or https URLs separated by spaces".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn nowhere() -> &'static Path {
        Path::new("/nowhere/operator.env")
    }

    /// Writes a settings file with the given mode.
    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("operator.env");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn grants_nothing_by_default() {
        let operator = Operator::of(HashMap::new(), nowhere(), None);
        assert_eq!(operator, Operator::default());
        assert!(operator.access.is_none());
        let named = settings(&[(CREDENTIALS_FILE, "/key.json"), (METADATA_HOST, "127.0.0.1:1"), (ALLOW_IDENTITY, " ")]);
        assert!(Operator::of(named, nowhere(), None).access.is_none(), "naming a file does not allow its use");
    }

    #[test]
    fn reads_permissions_from_the_environment_and_the_file() {
        let (_directory, path) = file(
            "# of the operator\nDIFY_PLUGIN_ALLOW_MACHINE_IDENTITY=true\nexport DIFY_PLUGIN_ALLOW_TOKEN_FILES=/a/b:/c\n\
             DIFY_PLUGIN_ALLOW_TOKEN_URLS=\"http://127.0.0.1/t?x=1 https://id.example/\"\nGCE_METADATA_HOST=of-the-file\n",
            0o644,
        );
        let operator = Operator::of(settings(&[(METADATA_HOST, "127.0.0.1:988")]), &path, None);
        assert_eq!(operator.problems, Vec::<String>::new());
        assert!(operator.access.identity);
        assert_eq!(operator.access.token_files, [Path::new("/a/b"), Path::new("/c")]);
        let urls: Vec<&str> = operator.access.token_urls.iter().map(Url::as_str).collect();
        assert_eq!(urls, ["http://127.0.0.1/t?x=1", "https://id.example/"]);
        assert_eq!(operator.access.metadata_host.as_deref(), Some("127.0.0.1:988"), "the environment takes precedence");
        let off = settings(&[(ALLOW_IDENTITY, "false")]);
        assert!(!Operator::of(off, &path, None).access.identity, "in both directions");
    }

    #[test]
    fn reads_the_line_limit_from_the_file() {
        let (_directory, path) = file("PLUGIN_STDIO_MAX_BUFFER_SIZE=20971520\n", 0o644);
        assert_eq!(Operator::of(HashMap::new(), &path, None).line_limit, Some(20_971_520));
        let own = settings(&[(LINE_LIMIT, "1048576")]);
        assert_eq!(Operator::of(own, &path, None).line_limit, Some(1_048_576), "the environment takes precedence");
        let wrong = Operator::of(settings(&[(LINE_LIMIT, "lots")]), nowhere(), None);
        assert!(wrong.line_limit.is_none() && wrong.problems[0].starts_with(LINE_LIMIT), "{wrong:?}");
    }

    #[test]
    fn ignores_a_file_that_others_can_write() {
        for (mode, used) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false), (0o666, false)] {
            let (_directory, path) = file("DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY=true\n", mode);
            let operator = Operator::of(HashMap::new(), &path, None);
            assert_eq!(operator.access.identity, used, "{mode:o}");
            assert_eq!(operator.problems.is_empty(), used, "{mode:o}: {:?}", operator.problems);
        }
        let (directory, _) = file("", 0o644);
        for path in [directory.path(), Path::new("/dev/zero")] {
            assert!(Operator::of(HashMap::new(), path, None).problems[0].contains("not a regular file"));
        }
    }

    #[test]
    fn reports_invalid_permissions_without_granting_them() {
        for (name, value, problem) in [
            (ALLOW_IDENTITY, "yes please", "must be true or false"),
            (ALLOW_TOKEN_FILES, "/a:b", "must be absolute paths separated by `:`, found `b`"),
            (ALLOW_TOKEN_URLS, "http://a/ b", "must be http or https URLs"),
            (ALLOW_TOKEN_URLS, "file:///a", "must be http or https URLs"),
        ] {
            let operator = Operator::of(settings(&[(name, value)]), nowhere(), None);
            assert!(operator.access.is_none(), "{name}");
            assert!(operator.problems[0].starts_with(name) && operator.problems[0].contains(problem), "{operator:?}");
        }
        let (_directory, path) = file("DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY=true\nSECRET of a user\n", 0o600);
        let operator = Operator::of(HashMap::new(), &path, None);
        assert!(operator.access.is_none(), "a partly invalid file is ignored");
        assert!(operator.problems[0].contains("line 2 is invalid") && !operator.problems[0].contains("SECRET"));
    }

    #[test]
    fn finds_googles_credentials_file_by_setting_or_in_the_home_directory() {
        let home = tempfile::tempdir().unwrap();
        let found =
            |pairs| Operator::of(settings(pairs), nowhere(), Some(home.path().to_owned())).access.credentials_file;
        assert_eq!(found(&[]), None, "missing");
        let file = home.path().join(".config/gcloud/application_default_credentials.json");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(found(&[]), Some(file));
        assert_eq!(found(&[(CREDENTIALS_FILE, "/named.json")]), Some("/named.json".into()));
    }
}
