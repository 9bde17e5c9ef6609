//! Where the hub and its cache are, and who asks.

use hf_hub::Cache;
use std::path::PathBuf;

/// The hub as one user sees it.
#[derive(Clone, Debug)]
pub struct Hub {
    /// `https://huggingface.co`, or a mirror.
    pub endpoint: String,
    /// The folder of all repositories.
    pub cache: PathBuf,
    pub token: Option<String>,
    /// Never touch the network.
    pub offline: bool,
}

impl Hub {
    /// As the environment says.
    pub fn from_env() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    /// As variables say (huggingface_hub `constants.py`).
    pub fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let yes = |name: &str| {
            let value = set(name).unwrap_or_default().to_lowercase();
            ["1", "true", "yes", "on"].contains(&value.as_str())
        };
        let home = set("HF_HOME").map(expanded).unwrap_or_else(|| {
            let cache = set("XDG_CACHE_HOME").map(expanded);
            let cache = cache.or_else(|| Some(dirs::home_dir()?.join(".cache")));
            cache.unwrap_or_default().join("huggingface")
        });
        let cache = set("HF_HUB_CACHE").or_else(|| set("HUGGINGFACE_HUB_CACHE"));
        let cache = cache.map_or_else(|| home.join("hub"), expanded);
        let file = set("HF_TOKEN_PATH").map_or_else(|| home.join("token"), expanded);
        let token = set("HF_TOKEN")
            .or_else(|| set("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| std::fs::read_to_string(file).ok())
            .map(|token| token.trim().to_string());
        let endpoint = set("HF_ENDPOINT").unwrap_or("https://huggingface.co".into());
        Self {
            endpoint: endpoint.trim_end_matches('/').into(),
            cache,
            token: token.filter(|token| !token.is_empty()),
            offline: yes("HF_HUB_OFFLINE") || yes("TRANSFORMERS_OFFLINE"),
        }
    }

    pub(super) fn layout(&self) -> Cache {
        Cache::new(self.cache.clone())
    }
}

/// A path whose `~` is the user's folder.
fn expanded(path: String) -> PathBuf {
    match (path.strip_prefix("~/"), dirs::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Hub {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name);
        Hub::from(|name| find(name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn variables_mean_what_they_mean_to_huggingface_hub() {
        let plain = hub(&[("XDG_CACHE_HOME", "/x")]);
        assert_eq!(plain.cache, PathBuf::from("/x/huggingface/hub"));
        assert_eq!(
            (plain.endpoint.as_str(), plain.offline),
            ("https://huggingface.co", false)
        );
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let home = home.path().to_str().unwrap();
        let moved = hub(&[
            ("HF_HOME", home),
            ("HF_HUB_OFFLINE", "1"),
            ("HF_ENDPOINT", "http://mirror/"),
        ]);
        assert_eq!(moved.cache, PathBuf::from(home).join("hub"));
        assert_eq!(moved.token.as_deref(), Some("hf_file"));
        assert_eq!(
            (moved.endpoint.as_str(), moved.offline),
            ("http://mirror", true)
        );
        let all = hub(&[
            ("HF_HOME", home),
            ("HF_HUB_CACHE", "/c"),
            ("HF_TOKEN", "hf_own"),
            ("HF_HUB_OFFLINE", "0"),
        ]);
        assert_eq!((all.cache, all.offline), (PathBuf::from("/c"), false));
        assert_eq!(all.token.as_deref(), Some("hf_own"));
    }
}
