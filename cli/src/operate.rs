//! `archipelago admin user` and `archipelago admin features`: what operators set in a region, which its feeds take to the others.
//!
//! What must always hold: a region that refuses is quoted, with its code and way out; what is asked for and read is printed as the region's line of JSON, and nothing else is.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::token;
use clap::Args;
use crdt::UserId;
use region::cluster::ClusterRegion;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// How long a region may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Which region is asked.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// The region to ask
    #[arg(long)]
    region: String,
}

/// Where a user's home is, and how that changes.
#[derive(Debug, Args)]
pub(crate) struct User {
    /// The user, such as u0001000000000001
    user: UserId,
    #[command(flatten)]
    asked: Asked,
    /// Give the user this home: the first one anywhere, each later one in the region that is the home
    #[arg(long, conflicts_with = "erase")]
    home: Option<String>,
    /// Set the mark of an erased user, which is for good
    #[arg(long)]
    erase: bool,
}

/// What of a placement's features is turned off or limited, and how that changes.
#[derive(Debug, Args)]
pub(crate) struct Features {
    #[command(flatten)]
    asked: Asked,
    /// The placement's name
    #[arg(long)]
    placement: String,
    /// What this region says of a feature from now on: `posts=off`, `posts=1000`, `posts=on`
    #[arg(long, value_name = "FEATURE=off|NUMBER|on", value_parser = setting)]
    set: Vec<(String, Value)>,
}

/// A feature and what is said of it. `on` says nothing of it any more; which features there are the region knows.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (feature, flag) = text.split_once('=').ok_or("write `posts=off`, `posts=1000` or `posts=on`")?;
    let flag = match flag {
        "off" => json!("off"),
        "on" => Value::Null,
        number => {
            json!(number.parse::<u64>().map_err(|_| format!("`{number}` is neither off, on nor a number"))?)
        }
    };
    Ok((feature.to_owned(), flag))
}

impl User {
    /// Does it, and prints where the home is then.
    ///
    /// # Errors
    /// When the region does not answer, or refuses.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let user = self.user.to_string();
        let region = Region::of(&self.asked)?;
        let placements = &region.folder.cluster.placements;
        let placement = placements.get(&self.user.placement()).ok_or_else(|| Failure::Unknown {
            kind: "placement",
            name: self.user.placement().to_string(),
            known: placements.values().map(|known| format!("{} ({})", known.id, known.name)).collect(),
        })?;
        if let Some(home) = &self.home {
            region.act(&placement.name, &json!({ "act": "set-home", "user": user, "home": home }))?;
        }
        if self.erase {
            region.act(&placement.name, &json!({ "act": "erase", "user": user }))?;
        }
        print!("{}", region.get(&format!("/v1/user?placement={}&user={user}", placement.name))?);
        Ok(())
    }
}

impl Features {
    /// Does it, and prints what holds then.
    ///
    /// # Errors
    /// When the region does not answer, or refuses.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let region = Region::of(&self.asked)?;
        let cluster = &region.folder.cluster;
        let placement = cluster.placement_named(&self.placement).ok_or_else(|| Failure::Unknown {
            kind: "placement",
            name: self.placement.clone(),
            known: cluster.placements.values().map(|known| known.name.clone()).collect(),
        })?;
        for (feature, flag) in &self.set {
            let act = json!({ "act": "set-flag", "feature": feature, "flag": flag });
            region.act(&placement.name, &act)?;
        }
        print!("{}", region.get(&format!("/v1/features?placement={}", placement.name))?);
        Ok(())
    }
}

/// A region's admin address.
pub(crate) struct Region {
    folder: ClusterFolder,
    region: ClusterRegion,
    token: String,
    agent: ureq::Agent,
}

impl Region {
    fn of(asked: &Asked) -> Result<Self, Failure> {
        let folder = ClusterFolder::open(&asked.cluster)?;
        let regions = &folder.cluster.regions;
        let region = regions.values().find(|region| region.name == asked.region).cloned();
        let region = region.ok_or_else(|| Failure::Unknown {
            kind: "region",
            name: asked.region.clone(),
            known: regions.values().map(|region| region.name.clone()).collect(),
        })?;
        let token = token::for_operator(&folder, 1)?;
        Ok(Self::new(folder, region, token, TIMEOUT))
    }

    /// A region that may take so long to answer, asked with an operator's token.
    pub(crate) fn new(
        folder: ClusterFolder,
        region: ClusterRegion,
        token: String,
        timeout: Duration,
    ) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false);
        Self { folder, region, token, agent: ureq::Agent::new_with_config(config.build()) }
    }

    /// Asks it to do something that a path says.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub(crate) fn post(&self, path: &str) -> Result<String, Failure> {
        let request = self.agent.post(self.url(path)).header("authorization", self.bearer());
        self.answer(request.send_empty())
    }

    /// Gives it something.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub(crate) fn post_json(&self, path: &str, what: &Value) -> Result<String, Failure> {
        let request = self.agent.post(self.url(path)).header("authorization", self.bearer());
        self.answer(request.send(what.to_string()))
    }

    fn get(&self, path: &str) -> Result<String, Failure> {
        let request = self.agent.get(self.url(path)).header("authorization", self.bearer());
        self.answer(request.call())
    }

    fn act(&self, placement: &str, act: &Value) -> Result<(), Failure> {
        self.post_json(&format!("/v1/operate?placement={placement}"), act).map(drop)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.region.admin)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// The body of an answer, or what the region says is wrong.
    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, Failure> {
        let name = &self.region.name;
        let failed = |error: &dyn std::fmt::Display| {
            Failure::Stopped(format!("region {name} at {}: {error}; is it running?", self.region.admin))
        };
        let answer = answer.map_err(|error| match error {
            ureq::Error::Timeout(_) => Failure::Timeout(format!("region {name} did not answer in time")),
            error => failed(&error),
        })?;
        let status = answer.status();
        let body = answer.into_body().read_to_string().map_err(|error| failed(&error))?;
        if status.is_success() {
            return Ok(body);
        }
        let said: Option<Value> = serde_json::from_str(&body).ok();
        let field = |name: &str| said.as_ref()?.get(name)?.as_str().map(str::to_owned);
        match (field("code"), field("message")) {
            (Some(code), Some(message)) => {
                Err(Failure::Refused(format!("region {name}: {message} ({code})")))
            }
            _ => Err(failed(&format!("HTTP status {status}"))),
        }
    }
}
