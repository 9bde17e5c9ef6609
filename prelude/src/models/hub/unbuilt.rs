//! Names of published models that are known and not built: they are called so before anything is downloaded.

use crate::Error;
use serde_json::Value;

/// timm's and open_clip's other architectures; `tables.py` makes it.
const OTHERS: &str = include_str!("unbuilt.tsv");

/// What `load` takes, for messages.
pub(crate) const BUILT: &str =
    "ViT (DeiT, DINO, DINOv2, CLIP's image tower), Swin, MaxViT and CLIP are built";

/// How names of other families begin, in no library's own spelling, and what they are.
const FAMILIES: &[(&str, &str)] = &[
    ("aimv2", "AIMv2"),
    ("align", "ALIGN"),
    ("beit", "BEiT"),
    ("bit-", "BiT, a ResNet"),
    ("blip", "BLIP"),
    ("convnext", "ConvNeXt"),
    ("convformer", "a MetaFormer"),
    ("cvt", "CvT"),
    ("data2vec-vision", "Data2Vec, a BEiT"),
    ("densenet", "DenseNet"),
    ("dinov3", "DINOv3"),
    ("dit-", "DiT, a BEiT"),
    ("efficientformer", "EfficientFormer"),
    ("efficientnet", "EfficientNet"),
    ("eva", "EVA"),
    ("focalnet", "FocalNet"),
    ("hiera", "Hiera"),
    ("inception", "Inception"),
    ("internvit", "InternViT"),
    ("levit", "LeViT"),
    ("mit-", "SegFormer's MiT"),
    ("mobilenet", "MobileNet"),
    ("mobilevit", "MobileViT"),
    ("mvit", "MViT"),
    ("perception_encoder", "the Perception Encoder"),
    ("pe-", "the Perception Encoder"),
    ("poolformer", "PoolFormer"),
    ("pvt", "PVT"),
    ("radio", "RADIO"),
    ("regnet", "RegNet"),
    ("resnet", "ResNet"),
    ("resnext", "ResNeXt"),
    ("sam-", "SAM"),
    ("sam2", "SAM 2"),
    ("segformer", "SegFormer"),
    ("siglip", "SigLIP"),
    ("swin2", "Swin V2"),
    ("swinv2", "Swin V2"),
    ("twins", "Twins"),
    ("vgg", "VGG"),
    ("vit-hybrid", "a ViT on a ResNet"),
    ("xcit", "XCiT"),
];

/// Owners of repositories that hold what their names say.
const OWNERS: &[&str] = &[
    "apple",
    "baai",
    "facebook",
    "google",
    "microsoft",
    "nvidia",
    "opengvlab",
    "openai",
    "quansun",
    "salesforce",
    "timm",
];

/// Values of `model_type` in transformers' configurations of image models that are not built.
const MODEL_TYPES: &[&str] = &[
    "aimv2",
    "align",
    "altclip",
    "beit",
    "bit",
    "blip",
    "blip-2",
    "chinese_clip",
    "clipseg",
    "convnext",
    "convnextv2",
    "cvt",
    "data2vec-vision",
    "dinat",
    "dinov3_convnext",
    "dinov3_vit",
    "efficientformer",
    "efficientnet",
    "eva",
    "flava",
    "focalnet",
    "groupvit",
    "hiera",
    "levit",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilevit",
    "mobilevitv2",
    "nat",
    "owlvit",
    "poolformer",
    "pvt",
    "pvt_v2",
    "regnet",
    "resnet",
    "sam",
    "segformer",
    "siglip",
    "siglip2",
    "siglip_vision_model",
    "swiftformer",
    "swin2sr",
    "swinv2",
    "van",
    "vit_hybrid",
    "xclip",
];

fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    let lines = OTHERS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split('\t').collect::<Vec<_>>().try_into().ok())
}

/// The error for `name`, a model's or a repository's, where it is known and not built. Names that are taken have been
/// looked up before.
pub(super) fn refused(name: &str) -> Option<Error> {
    let bare = ["hf-hub:", "hf_hub:", "https://huggingface.co/"]
        .iter()
        .find_map(|p| name.strip_prefix(p));
    let bare = bare.unwrap_or(name);
    let bare = bare.split('@').next().unwrap_or(bare);
    let (owner, model) = match bare.split_once('/') {
        // An open_clip model with the tag of its weights has no owner.
        Some((model, _)) if listed(model, "open_clip").is_some() => (None, model),
        Some((owner, model)) => (Some(owner.to_lowercase()), model),
        None => (None, bare),
    };
    if let Some(owner) = &owner
        && !OWNERS.contains(&owner.as_str())
    {
        return None;
    }
    let found = listed(model, "open_clip").or_else(|| listed(model.split('.').next()?, "timm"));
    let reason = match found {
        Some([library, module, "weights", _]) => format!(
            "{library} has it ({module}) and publishes no weights for it; train it, and load them by their path"
        ),
        Some(
            [
                "timm",
                "vision_transformer" | "deit" | "swin_transformer" | "maxxvit",
                ..,
            ],
        ) => {
            format!(
                "it is a variant that is not built (pooling, MLPs, windows or tokens of another kind); {BUILT}"
            )
        }
        Some([library, module, ..]) => {
            format!("it is {library}'s {module}, which is not built; {BUILT}")
        }
        None => {
            let lower = model.to_lowercase();
            let (_, what) = FAMILIES.iter().find(|(start, _)| {
                lower.starts_with(start) || lower == start.trim_end_matches('-')
            })?;
            format!("it is {what}, which is not built; {BUILT}")
        }
    };
    Some(Error::Unbuilt {
        name: name.into(),
        reason,
    })
}

/// The row of `library` that has exactly `name`.
fn listed(name: &str, library: &str) -> Option<[&'static str; 4]> {
    let mut rows = rows().filter(|row| row[0] == library);
    rows.find(|row| row[3].split(' ').any(|listed| listed == name))
}

/// Why the model whose configuration is `json` is not built, where that is known.
pub(super) fn by_configuration(json: &Value) -> Option<String> {
    if let Some(kind) = json["model_type"]
        .as_str()
        .filter(|kind| MODEL_TYPES.contains(kind))
    {
        return Some(format!(
            "its config.json says model_type = \"{kind}\", which is not built; {BUILT}"
        ));
    }
    let architecture = json["architecture"].as_str()?;
    let [_, module, ..] =
        listed(architecture.split('.').next()?, "timm").filter(|row| row[2] == "kind")?;
    Some(format!(
        "its config.json says architecture = \"{architecture}\", timm's {module}, which is not built; {BUILT}"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::named;
    use super::*;

    #[test]
    fn known_architectures_that_are_not_built_are_called_so() {
        for (name, what) in [
            ("resnet50", "timm's resnet"),
            ("resnet50.a1_in1k", "timm's resnet"),
            ("timm/resnet50.a1_in1k", "timm's resnet"),
            ("hf-hub:timm/convnext_base.fb_in22k", "timm's convnext"),
            ("efficientnet_b0", "timm's efficientnet"),
            ("beit_base_patch16_224", "timm's beit"),
            ("eva02_large_patch14_448", "timm's eva"),
            ("vit_base_patch16_siglip_224", "a variant that is not built"),
            ("swinv2_base_window8_256", "timm's swin_transformer_v2"),
            ("ViT-B-16-SigLIP", "open_clip's vit_base_patch16_siglip_224"),
            ("RN50/openai", "a ResNet"),
            ("EVA02-B-16/merged2b_s8b_b131k", "open_clip's eva02"),
            ("siglip", "SigLIP"),
            ("google/siglip-base-patch16-224", "SigLIP"),
            ("microsoft/swinv2-tiny-patch4-window8-256", "Swin V2"),
            ("microsoft/resnet-50", "ResNet"),
            ("facebook/dinov3-vitb16-pretrain-lvd1689m", "DINOv3"),
        ] {
            let error = named(name).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains(what) && error.contains("not built"),
                "{name}: {error}"
            );
        }
        let error = named("vit_giant_patch14_224").unwrap_err().to_string();
        assert!(error.contains("no weights"), "{error}");
    }

    #[test]
    fn names_of_others_and_names_that_are_taken_are_left_alone() {
        for name in [
            "someone/resnet-of-vits",
            "facebook/dinov2-base",
            "google/vit-base-patch16-224",
            "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        ] {
            assert!(named(name).unwrap().is_some(), "{name}");
        }
        assert_eq!(
            by_configuration(&serde_json::json!({"model_type": "vit"})),
            None
        );
        let refused = by_configuration(&serde_json::json!({"architecture": "resnet50"}));
        assert!(refused.unwrap().contains("timm's resnet"));
    }
}
