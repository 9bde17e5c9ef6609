//! What a published name stands for: repository, and what is known of the model besides its weights.

use super::unbuilt;
use crate::data::{CropMode, Interpolation};
use crate::models::Normalisation;
use crate::models::config::{Picture, Settings};
use crate::{Error, Result};
use serde_json::json;

/// Which library's files are taken, as some repositories hold those of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    Timm,
    OpenClip,
    /// Whichever there are.
    Any,
}

/// A repository on the hub and what is taken from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub repo: String,
    pub revision: String,
    pub library: Library,
    /// What the name tells, where the repository has no configuration.
    pub settings: Settings,
}

impl Source {
    /// Whether it is in the tables of what timm and open_clip publish.
    pub fn is_known(&self) -> bool {
        self.settings != Settings::default()
    }
}

/// The paper's checkpoints by short names.
pub const ALIASES: &[(&str, &str)] = &[
    ("deit", "deit_base_patch16_224.fb_in1k"),
    ("dino", "vit_base_patch16_224.dino"),
    ("dinov2", "vit_base_patch14_dinov2.lvd142m"),
    ("swin", "swin_base_patch4_window7_224.ms_in22k_ft_in1k"),
    ("maxvit", "maxvit_small_tf_224.in1k"),
    ("clip", "ViT-B-16/laion2b_s34b_b88k"),
];

/// timm's pretrained models of the families that are built; `tables.py` makes both.
const TIMM: &str = include_str!("timm.tsv");
/// open_clip's.
const OPEN_CLIP: &str = include_str!("open_clip.tsv");

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect())
}

/// The repository `name` stands for: a short name of the paper's, a timm model with or without its tag, an open_clip
/// model with or without `/` and its weights' tag, or a repository (`timm/...`, `laion/...`, `hf-hub:OWNER/NAME`,
/// with `@revision`). None where it is none of these.
///
/// # Errors
/// When a known architecture has no weights of that tag (the message lists those it has), or is not built.
pub fn named(name: &str) -> Result<Option<Source>> {
    if let Some(repo) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        return taken(name, repository(&revision_of_page(repo)));
    }
    let name = ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, is)| is);
    if let Some(source) = open_clip(name)? {
        return Ok(Some(source));
    }
    match name.contains('/') {
        true => taken(name, repository(name)),
        false => match timm(name)? {
            None => taken(name, None),
            known => Ok(known),
        },
    }
}

/// What stands before a repository that is meant and no model's name.
const PREFIXES: [&str; 3] = ["hf-hub:", "hf_hub:", "https://huggingface.co/"];

/// `source`, unless it is not in the tables and `name` is known to be of a kind that is not built.
fn taken(name: &str, source: Option<Source>) -> Result<Option<Source>> {
    match (&source, unbuilt::refused(name)) {
        (Some(known), _) if known.is_known() => Ok(source),
        (_, Some(refused)) => Err(refused),
        _ => Ok(source),
    }
}

/// `OWNER/NAME@REVISION` of the address of a page, `OWNER/NAME/tree/REVISION`.
fn revision_of_page(address: &str) -> String {
    let parts: Vec<_> = address.trim_end_matches('/').split('/').collect();
    match parts.as_slice() {
        [owner, name, "tree" | "blob" | "resolve", revision, ..] => {
            format!("{owner}/{name}@{revision}")
        }
        _ => parts.join("/"),
    }
}

/// The published names that are nearest to `name`, which is none, as a person may have meant them.
pub fn nearest(name: &str, besides: &[&'static str]) -> Vec<String> {
    let clips =
        rows(OPEN_CLIP).flat_map(|row| [row[0].to_string(), format!("{}/{}", row[0], row[1])]);
    let timms = rows(TIMM).flat_map(|row| {
        let arch = row[0].split('.').next().unwrap_or(row[0]);
        [arch.to_string(), row[0].to_string()]
    });
    let short = ALIASES.iter().map(|(name, _)| name.to_string());
    let known = short
        .chain(besides.iter().map(|name| name.to_string()))
        .chain(timms)
        .chain(clips);
    crate::files::nearest(name.strip_prefix("timm/").unwrap_or(name), known)
}

/// `OWNER/NAME`, or with `@revision`.
fn repository(text: &str) -> Option<Source> {
    let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
    let (owner, name) = repo.split_once('/')?;
    let good = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '~', '-'])
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if !good(owner) || !good(name) || revision.is_empty() {
        return None;
    }
    if let ("timm", Ok(Some(source))) = (owner, timm(name)) {
        let revision = revision.into();
        return Some(Source { revision, ..source });
    }
    Some(Source {
        repo: repo.into(),
        revision: revision.into(),
        library: match owner {
            "timm" if !name.starts_with("ViT-") => Library::Timm,
            "laion" => Library::OpenClip,
            _ => Library::Any,
        },
        settings: Settings::default(),
    })
}

fn timm(name: &str) -> Result<Option<Source>> {
    let arch = name.split('.').next().unwrap_or(name);
    let of_arch = |row: &Vec<&str>| row[0].split('.').next() == Some(arch);
    let known: Vec<_> = rows(TIMM).filter(of_arch).collect();
    let Some(default) = known.first() else {
        return Ok(None);
    };
    let row = match name == arch {
        true => Some(default),
        false => known.iter().find(|row| row[0] == name),
    };
    let Some(row) = row else {
        return Err(unknown(name, known.iter().map(|row| row[0].to_string())));
    };
    Ok(Some(Source {
        repo: match row[1] {
            "" => format!("timm/{}", row[0]),
            other => other.into(),
        },
        revision: "main".into(),
        library: Library::Timm,
        settings: Settings {
            network: match arch.contains("quickgelu") {
                true => json!({"act_layer": "quick_gelu"}),
                false => json!({}),
            },
            picture: Picture {
                crop_pct: row[3].parse().ok(),
                interpolation: interpolation(row[4]),
                ..normalised(row[2])
            },
        },
    }))
}

fn open_clip(name: &str) -> Result<Option<Source>> {
    let (model, tag) = match name.split_once('/') {
        Some((model, tag)) => (model, Some(tag)),
        None => (name, None),
    };
    let known: Vec<_> = rows(OPEN_CLIP).filter(|row| row[0] == model).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let Some(row) = known.iter().find(|row| tag.is_none_or(|tag| row[1] == tag)) else {
        return Err(unknown(
            name,
            known.iter().map(|row| format!("{model}/{}", row[1])),
        ));
    };
    Ok(Some(Source {
        repo: row[2].into(),
        revision: "main".into(),
        library: Library::OpenClip,
        settings: Settings {
            network: json!({"quick_gelu": row[4] == "quick_gelu"}),
            picture: Picture {
                crop_mode: match row[5] {
                    "squash" => Some(CropMode::Squash),
                    "longest" => Some(CropMode::Border),
                    _ => None,
                },
                ..normalised(row[3])
            },
        },
    }))
}

/// The name of the published model that `repo` holds.
pub(super) fn published(repo: &str) -> Option<String> {
    let mut clips = rows(OPEN_CLIP);
    if let Some(row) = clips.find(|row| row[2] == repo && !repo.starts_with("timm/")) {
        return Some(format!("{}/{}", row[0], row[1]));
    }
    let name = repo.strip_prefix("timm/")?;
    let known = rows(TIMM).any(|row| row[0] == name);
    known.then(|| name.to_string())
}

fn normalised(kind: &str) -> Picture {
    let Normalisation { mean, std } = match kind {
        "clip" => Normalisation::CLIP,
        "half" => Normalisation {
            mean: [0.5; 3],
            std: [0.5; 3],
        },
        _ => Normalisation::IMAGENET,
    };
    Picture {
        mean: Some(mean),
        std: Some(std),
        ..Picture::default()
    }
}

fn interpolation(name: &str) -> Option<Interpolation> {
    serde_json::from_value(json!(name)).ok()
}

/// The architecture of `name` has weights of these tags only.
fn unknown(name: &str, known: impl Iterator<Item = String>) -> Error {
    let known: Vec<_> = known.collect();
    Error::UnknownModel {
        name: name.into(),
        nearest: crate::files::or(&crate::files::nearest(name, known.iter().cloned())),
        known: known.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> Source {
        named(name)
            .unwrap()
            .unwrap_or_else(|| panic!("{name} is not known"))
    }

    #[test]
    fn names_are_the_papers_checkpoints() {
        for (name, repo) in [
            ("deit", "timm/deit_base_patch16_224.fb_in1k"),
            ("dino", "timm/vit_base_patch16_224.dino"),
            ("dinov2", "timm/vit_base_patch14_dinov2.lvd142m"),
            ("swin", "timm/swin_base_patch4_window7_224.ms_in22k_ft_in1k"),
            (
                "swin_base_patch4_window7_224",
                "timm/swin_base_patch4_window7_224.ms_in22k_ft_in1k",
            ),
            ("maxvit", "timm/maxvit_small_tf_224.in1k"),
            ("clip", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
            ("ViT-L-14", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K"),
            (
                "ViT-B-32/laion2b_s34b_b79k",
                "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
            ),
            (
                "hf-hub:timm/vit_small_patch14_dinov2.lvd142m",
                "timm/vit_small_patch14_dinov2.lvd142m",
            ),
            (
                "vit_small_patch14_dinov2.lvd142m",
                "timm/vit_small_patch14_dinov2.lvd142m",
            ),
            (
                "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
                "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
            ),
            ("facebook/dinov2-base", "facebook/dinov2-base"),
        ] {
            assert_eq!(source(name).repo, repo, "{name}");
        }
        assert_eq!(source("facebook/dinov2-base@v1").revision, "v1");
        assert!(
            ALIASES
                .iter()
                .all(|(name, _)| named(name).unwrap().is_some())
        );
    }

    #[test]
    fn names_tell_what_files_may_not() {
        assert_eq!(source("dinov2").settings.picture.crop_pct, Some(1.0));
        assert_eq!(source("maxvit").settings.picture.crop_pct, Some(0.95));
        let augreg = source("vit_base_patch16_224.augreg_in21k");
        assert_eq!(augreg.settings.picture.mean, Some([0.5; 3]));
        assert_eq!(source("deit").settings.picture.crop_pct, Some(0.9));
        // The paper's alignment target was trained with other means than CLIP's.
        assert_eq!(source("ViT-L-14").settings.picture.mean, Some([0.5; 3]));
        assert_eq!(
            source("ViT-B-16/openai").settings.network,
            json!({"quick_gelu": true})
        );
    }

    #[test]
    fn what_is_no_name_is_none_and_a_wrong_tag_lists_the_right_ones() {
        for name in ["resmet50", "./vit", "/abs/path", "a/b/c", "~/vit", "x/"] {
            assert_eq!(named(name).unwrap(), None, "{name}");
        }
        let error = named("vit_base_patch16_224.mine").unwrap_err().to_string();
        assert!(error.contains("vit_base_patch16_224.dino"), "{error}");
        let error = named("ViT-B-16/mine").unwrap_err().to_string();
        assert!(error.contains("ViT-B-16/laion2b_s34b_b88k"), "{error}");
        let page = source("https://huggingface.co/facebook/dinov2-base/tree/v1");
        assert_eq!(
            (page.repo.as_str(), page.revision.as_str()),
            ("facebook/dinov2-base", "v1")
        );
    }

    #[test]
    fn a_slip_of_the_pen_is_answered_with_the_nearest_names() {
        for (slip, meant) in [
            ("vit_base_patch16_244", "vit_base_patch16_224"),
            (
                "vit_small_patch14_dinov2.lvd142n",
                "vit_small_patch14_dinov2.lvd142m",
            ),
            ("dinov", "dinov2"),
            ("tiny_vti", "tiny_vit"),
            ("vit-b-16", "ViT-B-16"),
            (
                "swin_base_patch4_windw7_224",
                "swin_base_patch4_window7_224",
            ),
        ] {
            let found = nearest(slip, &["tiny_vit", "tiny_clip"]);
            assert!(found.contains(&meant.to_string()), "{slip}: {found:?}");
        }
        assert!(nearest("qqqqqqqq", &[]).is_empty());
    }
}
