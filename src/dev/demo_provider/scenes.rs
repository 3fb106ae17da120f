//! The scenes of the playground: a way in which Matrica can fail, each in one row.

use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use super::faults::Fault;
use super::people;
use super::{DemoProvider, ProviderState};

/// What the app reads of a person.
const DATA: [Endpoint; 10] = [
    Endpoint::Profile,
    Endpoint::Wallets,
    Endpoint::Email,
    Endpoint::Twitter,
    Endpoint::Discord,
    Endpoint::Telegram,
    Endpoint::Roles,
    Endpoint::Nfts,
    Endpoint::Tokens,
    Endpoint::Domains,
];
/// What the app needs beside that.
const TOKENS: [Endpoint; 3] = [Endpoint::Token, Endpoint::Refresh, Endpoint::Revoke];

/// A failure at the click of a button.
pub struct Scene {
    /// In the address of its form.
    pub key: &'static str,
    pub title: &'static str,
    /// What this provider does from now on.
    pub does: &'static str,
    /// What to look at in the app.
    pub see: &'static str,
    /// A change of `/control/settings`, in JSON. Empty for none.
    pub settings: &'static str,
    pub endpoints: &'static [&'static [Endpoint]],
    /// The fault of these endpoints, in JSON.
    pub fault: &'static str,
    /// A person whose grants end.
    pub revokes: &'static str,
}

impl Scene {
    const fn new(key: &'static str, title: &'static str) -> Self {
        Self {
            key,
            title,
            does: "",
            see: "",
            settings: "",
            endpoints: &[],
            fault: "",
            revokes: "",
        }
    }
}

pub const SCENES: [Scene; 9] = [
    Scene {
        does: "Every request is answered with 503.",
        see: "Account pages show what they last read and say so. A new sign-in gets an error page.",
        endpoints: &[&DATA, &TOKENS],
        fault: r#"{"status":503}"#,
        ..Scene::new("down", "Matrica is down")
    },
    Scene {
        does: "Every answer about a person takes 4 seconds.",
        see: "The top of a page comes at once. The rest follows after 2.5 seconds, minus what hasn't arrived.",
        endpoints: &[&DATA],
        fault: r#"{"delay_ms":4000}"#,
        ..Scene::new("slow", "Matrica is slow")
    },
    Scene {
        does: "Requests about a person are answered with 429 and \"retry after 30 seconds\".",
        see: "The app waits before it asks again, and shows what it last read.",
        endpoints: &[&DATA],
        fault: r#"{"status":429,"headers":{"retry-after":"30"}}"#,
        ..Scene::new("limited", "Too many requests")
    },
    Scene {
        does: "All of Ada's grants end, as if she had removed the app at Matrica.",
        see: "Ada stays signed in. Her account asks her to sign in again.",
        revokes: "ada",
        ..Scene::new("revoked", "Ada removes the app")
    },
    Scene {
        does: "New sign-ins grant the scope profile, and no other.",
        see: "Sign in again. Pages without their scope say quietly what is not shared.",
        settings: r#"{"granted_scope":"profile"}"#,
        ..Scene::new("profile-only", "Only the profile is shared")
    },
    Scene {
        does: "Profiles come without any user id.",
        see: "Sign in again. The app refuses, because it never guesses who somebody is.",
        settings: r#"{"profile_shape":"without_id","v1_has_id":false}"#,
        ..Scene::new("no-id", "No user id")
    },
    Scene {
        does: "New access tokens live 5 seconds. The answer to the first refresh is lost, and the next \
               one reuses a refresh token.",
        see: "Sign in again, and reload the account after 5 seconds. The app stops using the token and asks \
              you to sign in again.",
        settings: r#"{"expires_in":5}"#,
        endpoints: &[&[Endpoint::Refresh]],
        fault: r#"{"times":1,"close":"after_processing"}"#,
        ..Scene::new("reused", "A refresh token is reused")
    },
    Scene {
        does: "Requests about a person are answered with a web page.",
        see: "Nothing of it is shown. The parts of a page say that they can't be shown.",
        endpoints: &[&DATA],
        fault: r#"{"status":200,"headers":{"content-type":"text/html"},"body":"<html><body>Welcome</body></html>"}"#,
        ..Scene::new("html", "Matrica answers with HTML")
    },
    Scene {
        does: "A firewall in front of Matrica answers 403 with a page of its own.",
        see: "That is an outage, not a refusal. No grants are lost.",
        endpoints: &[&DATA],
        fault: r#"{"status":403,"headers":{"content-type":"text/html"},"body":"<html><body>Blocked</body></html>"}"#,
        ..Scene::new("firewall", "A firewall blocks the app")
    },
];

pub fn find(key: &str) -> Option<&'static Scene> {
    SCENES.iter().find(|scene| scene.key == key)
}

impl Scene {
    fn struck(&self) -> impl Iterator<Item = Endpoint> {
        self.endpoints.iter().flat_map(|part| part.iter().copied())
    }

    /// The same with curl, one command per line.
    pub fn commands(&self, base: &str) -> Vec<String> {
        const JSON: &str = "-H 'content-type: application/json' -d";
        let mut commands = vec![format!("curl -X POST {base}/control/reset")];
        if !self.settings.is_empty() {
            let settings = self.settings;
            commands.push(format!(
                "curl -X PUT {base}/control/settings {JSON} '{settings}'"
            ));
        }
        let names: Vec<_> = self.struck().map(Endpoint::name).collect();
        if !names.is_empty() {
            let (names, fault) = (names.join(" "), self.fault);
            let one = format!("curl -X PUT {base}/control/faults/$e {JSON} '{fault}'");
            commands.push(format!("for e in {names}; do {one}; done"));
        }
        if !self.revokes.is_empty() {
            let person = self.revokes;
            commands.push(format!(
                "curl -X POST {base}/control/revoke-person/{person}"
            ));
        }
        commands
    }
}

impl DemoProvider {
    /// Ends the scene of before, and begins this one. The error cannot happen with the rows above.
    pub(super) fn play(&self, scene: &'static Scene) -> Result<(), String> {
        let state = &mut *self.state();
        state.reset();
        if !scene.settings.is_empty() {
            let patch: Map<String, Value> = read(scene.settings)?;
            state.settings = state.settings.merged(patch)?;
        }
        for endpoint in scene.struck() {
            let fault: Fault = read(scene.fault)?;
            fault.check()?;
            state.faults.insert(endpoint, vec![fault]);
        }
        if let Some(person) = people::find(scene.revokes) {
            state.grants.revoke_person(person);
        }
        state.scene = Some(scene);
        Ok(())
    }
}

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

impl ProviderState {
    /// Resets settings, faults and counters. Grants stay.
    pub(super) fn reset(&mut self) {
        let mut grants = std::mem::take(&mut self.grants);
        grants.counts = super::grants::Counts::default();
        *self = Self {
            grants,
            ..Self::default()
        };
    }
}
