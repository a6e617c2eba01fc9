//! What the operator of the machine allows outside of every form and every plugin's folder: the process's environment, then
//! one file. It is no setting of a plugin: a `.env` in the current folder belongs to whoever made that folder.
//!
//! The file exists because newer plugin daemons pass a plugin only a short list of variables
//! (`dify-plugin-daemon` pull request 799), and it is looked for at one place that only the operator can write.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use url::Url;

use super::env_file::{self, EnvFile};
use super::{ConfigError, DAEMON_LINE_LIMITS, LINE_LIMIT, flag, line_limit, refuse, text};
use crate::upstream::google::{ALLOW_IDENTITY, ALLOW_TOKEN_FILES, ALLOW_TOKEN_URLS, MachineAccess};

/// Lines of `NAME=value`, with the names of the environment.
pub const FILE: &str = "/etc/dify-plugin-runtime/operator.env";

const CREDENTIALS_FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const METADATA_HOST: &str = "GCE_METADATA_HOST";

/// Every name that is read here: what is allowed, as [`MachineAccess`] says it (paths separated by `:`, addresses by blanks),
/// and where Google's credentials and metadata server are.
pub const NAMES: [&str; 5] = [ALLOW_IDENTITY, ALLOW_TOKEN_FILES, ALLOW_TOKEN_URLS, CREDENTIALS_FILE, METADATA_HOST];

/// What the operator allows, and what of it could not be read: that is not allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// What is allowed.
    pub access: MachineAccess,
    /// The longest line that the daemon takes, where it is told here.
    pub line_limit: Option<usize>,
    /// Settings, or the file, that are not used, and why.
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

    /// The environment goes before the file. `home` holds Google's credentials file where no setting names one.
    fn of(mut settings: HashMap<String, String>, file: &Path, home: Option<PathBuf>) -> Self {
        let mut problems = Vec::new();
        match read_file(file) {
            Ok(lines) => lines.into_iter().for_each(|(name, value)| {
                settings.entry(name).or_insert(value);
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => problems.push(format!("{} is not used: {error}", file.display())),
        }
        let mut note = |read: Result<(), ConfigError>| {
            if let Err(ConfigError { name, problem }) = read {
                problems.push(format!("{name} {problem}"));
            }
        };
        let mut access = MachineAccess::default();
        note(flag(&settings, ALLOW_IDENTITY).map(|allowed| access.identity = allowed));
        note(paths(&settings, ALLOW_TOKEN_FILES).map(|paths| access.token_files = paths));
        note(addresses(&settings, ALLOW_TOKEN_URLS).map(|addresses| access.token_urls = addresses));
        let well_known = home.map(|home| home.join(".config/gcloud/application_default_credentials.json"));
        access.credentials_file =
            text(&settings, CREDENTIALS_FILE).map(PathBuf::from).or(well_known.filter(|path| path.is_file()));
        access.metadata_host = text(&settings, METADATA_HOST).map(str::to_owned);
        let mut longest = None;
        note(line_limit(&settings).map(|limit| longest = limit));
        Self { access, line_limit: longest, problems }
    }
}

/// The settings of a file that nobody but its owner can have written.
fn read_file(path: &Path) -> io::Result<Vec<(String, String)>> {
    let wrong = |why: &str| Err(io::Error::other(why.to_owned()));
    // A pipe would never open.
    if !std::fs::metadata(path)?.is_file() {
        return wrong("it is no file");
    }
    let file = File::open(path)?;
    if file.metadata()?.mode() & 0o022 != 0 {
        return wrong("others than its owner may write it; take that from them with chmod go-w");
    }
    let EnvFile { settings, unreadable } = env_file::read_open(file)?;
    match unreadable.first() {
        None => Ok(settings),
        Some(line) => wrong(&format!("its line {line} cannot be read")),
    }
}

fn paths(settings: &HashMap<String, String>, name: &'static str) -> Result<Vec<PathBuf>, ConfigError> {
    let text = text(settings, name);
    let paths: Vec<PathBuf> = text.map(|text| std::env::split_paths(text).collect()).unwrap_or_default();
    match paths.iter().find(|path| !path.is_absolute()) {
        None => Ok(paths),
        Some(path) => Err(refuse(name, format!("must be absolute paths separated by `:`, found `{}`", path.display()))),
    }
}

fn addresses(settings: &HashMap<String, String>, name: &'static str) -> Result<Vec<Url>, ConfigError> {
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
    let words = text(settings, name).unwrap_or_default().split_whitespace();
    let parsed: Option<_> = words.map(|word| Url::parse(word).ok().filter(is_web)).collect();
    parsed.ok_or_else(|| refuse(name, "must be http or https addresses separated by blanks".to_owned()))
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

    /// A file of settings with these rights.
    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("operator.env");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let operator = Operator::of(HashMap::new(), nowhere(), None);
        assert_eq!(operator, Operator::default());
        assert!(operator.access.is_none());
        let named = settings(&[(CREDENTIALS_FILE, "/key.json"), (METADATA_HOST, "127.0.0.1:1"), (ALLOW_IDENTITY, " ")]);
        assert!(Operator::of(named, nowhere(), None).access.is_none(), "a file that is named is not yet allowed");
    }

    #[test]
    fn what_is_allowed_is_read_from_the_environment_and_the_file() {
        let (_folder, path) = file(
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
        assert_eq!(operator.access.metadata_host.as_deref(), Some("127.0.0.1:988"), "the environment goes before");
        let off = settings(&[(ALLOW_IDENTITY, "false")]);
        assert!(!Operator::of(off, &path, None).access.identity, "in both directions");
    }

    #[test]
    fn the_longest_line_may_stand_in_the_file() {
        let (_folder, path) = file("PLUGIN_STDIO_MAX_BUFFER_SIZE=20971520\n", 0o644);
        assert_eq!(Operator::of(HashMap::new(), &path, None).line_limit, Some(20_971_520));
        let own = settings(&[(LINE_LIMIT, "1048576")]);
        assert_eq!(Operator::of(own, &path, None).line_limit, Some(1_048_576), "the environment goes before");
        let wrong = Operator::of(settings(&[(LINE_LIMIT, "lots")]), nowhere(), None);
        assert!(wrong.line_limit.is_none() && wrong.problems[0].starts_with(LINE_LIMIT), "{wrong:?}");
    }

    #[test]
    fn a_file_that_others_can_write_allows_nothing() {
        for (mode, used) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false), (0o666, false)] {
            let (_folder, path) = file("DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY=true\n", mode);
            let operator = Operator::of(HashMap::new(), &path, None);
            assert_eq!(operator.access.identity, used, "{mode:o}");
            assert_eq!(operator.problems.is_empty(), used, "{mode:o}: {:?}", operator.problems);
        }
        let (directory, _) = file("", 0o644);
        for (path, said) in [(directory.path().to_owned(), "no file"), ("/dev/zero".into(), "no file")] {
            assert!(Operator::of(HashMap::new(), &path, None).problems[0].contains(said));
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_and_allows_nothing() {
        for (name, value, said) in [
            (ALLOW_IDENTITY, "yes please", "must be true or false"),
            (ALLOW_TOKEN_FILES, "/a:b", "must be absolute paths separated by `:`, found `b`"),
            (ALLOW_TOKEN_URLS, "http://a/ b", "must be http or https addresses"),
            (ALLOW_TOKEN_URLS, "file:///a", "must be http or https addresses"),
        ] {
            let operator = Operator::of(settings(&[(name, value)]), nowhere(), None);
            assert!(operator.access.is_none(), "{name}");
            assert!(operator.problems[0].starts_with(name) && operator.problems[0].contains(said), "{operator:?}");
        }
        let (_folder, path) = file("DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY=true\nSECRET of somebody\n", 0o600);
        let operator = Operator::of(HashMap::new(), &path, None);
        assert!(operator.access.is_none(), "half a file is none");
        assert!(operator.problems[0].contains("its line 2 cannot be read") && !operator.problems[0].contains("SECRET"));
    }

    #[test]
    fn googles_credentials_file_is_the_named_one_or_that_of_the_home() {
        let home = tempfile::tempdir().unwrap();
        let found =
            |pairs| Operator::of(settings(pairs), nowhere(), Some(home.path().to_owned())).access.credentials_file;
        assert_eq!(found(&[]), None, "it is not there");
        let file = home.path().join(".config/gcloud/application_default_credentials.json");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(found(&[]), Some(file));
        assert_eq!(found(&[(CREDENTIALS_FILE, "/named.json")]), Some("/named.json".into()));
    }
}
