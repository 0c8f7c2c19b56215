//! Asking a running host over its admin API: which host (`target`), how a request goes
//! there (`ask`, `connection`), what comes back (`answer`, `failure`), and long answers
//! (`pages`). Where a host asks to come back later, it is asked again (`patience`).
//!
//! **No token goes to another machine in clear.** What the host refuses is said in its own
//! words, and the exit code says of which kind it is (`failure`).
//!
//! Deliberately not here: proxies and redirections. What stands between people and a host
//! would see their tokens.

mod answer;
mod ask;
mod connection;
mod failure;
mod pages;
mod patience;
mod target;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use tokio::time::{sleep, timeout};

pub(super) use answer::Answer;
pub(super) use ask::{Ask, Condition, LOADING};
use connection::Door;
pub(super) use failure::Failure;
pub(super) use pages::items;
use patience::Patience;

use super::rows;
pub(super) use target::Target;
use target::{Address, Environment};

/// The configuration unless another is named.
const CONFIG: &str = "portcullis.toml";

/// Which host, and as whom.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct ApiArguments {
    /// Ask the host at this URL, such as http://127.0.0.1:8925 or https://mx.example.
    /// Without this, --socket and --config, PORTCULLIS_URL has it.
    #[arg(long, value_name = "URL", global = true, conflicts_with_all = ["socket", "config"])]
    url: Option<Address>,
    /// A file with the token that goes with the request. Without it, PORTCULLIS_TOKEN has
    /// the one for URLs.
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// Take the host's certificate under the anchors in this PEM file, not under the public
    /// ones.
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// Ask the host whose socket this is; it needs no token.
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// Ask the host that runs on this configuration, over its socket; receipts, report,
    /// warnings, explain and audit need no host and read its files [default:
    /// portcullis.toml].
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl ApiArguments {
    /// Which host. What the command line says goes before the environment.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        self.target_in(&Environment::of_process())
    }

    /// The configuration of this machine, whoever is asked.
    pub(super) fn config_file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(CONFIG))
    }

    /// The configuration that is named on the command line.
    pub(super) fn named_config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The same on another command line, with a space before each.
    pub(super) fn repeated(&self) -> String {
        let url = self.url.as_ref().map(ToString::to_string);
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let said = [
            ("--url", url),
            ("--token-file", file(&self.token_file)),
            ("--ca", file(&self.ca)),
            ("--socket", file(&self.socket)),
            ("--config", file(&self.config)),
        ];
        let said = said.into_iter();
        said.filter_map(|(name, value)| Some(format!(" {name} {}", shell(&value?))))
            .collect()
    }

    fn target_in(&self, environment: &Environment) -> anyhow::Result<Target> {
        match (&self.url, &self.socket, &self.config, &environment.url) {
            (Some(address), ..) => Ok(Target::Url(address.clone())),
            (_, Some(socket), ..) => Ok(Target::Socket(socket.clone())),
            (.., Some(config), _) => Ok(Target::Config(config.clone())),
            (.., Some(url)) => Ok(Target::Url(url.parse().context("PORTCULLIS_URL")?)),
            _ => Ok(Target::Config(CONFIG.into())),
        }
    }

    /// The token, if there is one for that.
    fn token_in(
        &self,
        target: &Target,
        environment: &Environment,
    ) -> anyhow::Result<Option<HeaderValue>> {
        let (text, from) = match (&self.token_file, &environment.token, target) {
            (Some(path), ..) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                (text, path.display().to_string())
            }
            // Over a socket its owner asks, whatever is in the environment.
            (None, Some(token), Target::Url(_)) => (token.clone(), "PORTCULLIS_TOKEN".to_owned()),
            _ => return Ok(None),
        };
        let value = HeaderValue::try_from(format!("Bearer {}", text.trim()));
        let mut value = value
            .ok()
            .filter(|_| !text.trim().is_empty() && !text.trim().contains(' '))
            .ok_or_else(|| anyhow!("{from} has no token: it is one word, as the API told it"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// A word as a shell reads it.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,[]".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Asks one host.
pub(super) struct Client {
    door: Door,
    token: Option<HeaderValue>,
}

impl Client {
    /// Asks whom these arguments name.
    ///
    /// # Errors
    /// When they name nobody who may be asked so. Nothing is sent yet.
    pub(super) fn new(arguments: &ApiArguments) -> anyhow::Result<Self> {
        let environment = Environment::of_process();
        let target = arguments.target_in(&environment)?;
        let token = arguments.token_in(&target, &environment)?;
        if let (Target::Url(address), Some(_)) = (&target, &token) {
            address.may_carry_a_token()?;
        }
        let door = Door::of(target, arguments.ca.as_deref())?;
        Ok(Self { door, token })
    }

    /// The host of a data directory on this machine, as its owner.
    pub(super) fn of_data_directory(path: &Path) -> Self {
        Self {
            door: Door::data_directory(path),
            token: None,
        }
    }

    /// The answer, if it is a good one. Where the host says when to ask again, it is asked
    /// then, and whoever waits is told of it.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn send(&self, ask: Ask) -> Result<Answer, Failure> {
        let mut patience = Patience::default();
        loop {
            let failure = match self.once(ask.clone()).await {
                Err(failure) => failure,
                answer => return answer,
            };
            let Some(wait) = failure.again_after().filter(|wait| patience.take(*wait)) else {
                return Err(failure);
            };
            rows::aside(format_args!("portcullis: {failure}: waiting until then"));
            sleep(wait).await;
        }
    }

    async fn once(&self, ask: Ask) -> Result<Answer, Failure> {
        let patience = ask.patience();
        match timeout(patience, self.converse(ask)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Timeout {
                place: self.door.to_string(),
                patience,
            }),
        }
    }

    async fn converse(&self, ask: Ask) -> Result<Answer, Failure> {
        let place = self.door.to_string();
        let changes = ask.changes();
        let lost = |reason: String| Failure::lost(&place, &reason, changes);
        let request = self.request(ask).map_err(|error| lost(error.to_string()))?;
        let mut sender = self.door.open().await?;
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| lost(failure::in_words(&error)))?;
        let read = Answer::read(&place, answer, lost).await;
        match &read {
            Err(refused) if self.token.is_none() && refused.wants_a_token() => {
                Err(Failure::NoToken { place })
            }
            _ => read,
        }
    }

    fn request(&self, ask: Ask) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let base = self.door.base();
        let mut request = Request::builder()
            .method(ask.method())
            .uri(ask.target(base))
            .header(HOST, base.authority())
            .header(
                USER_AGENT,
                concat!("portcullis/", env!("CARGO_PKG_VERSION")),
            );
        for (name, value) in ask.fields() {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        request.body(Full::new(ask.into_body()))
    }
}

#[cfg(test)]
mod tests;
