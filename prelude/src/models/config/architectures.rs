//! What the name of a timm architecture stands for.

use serde_json::Value;

/// timm's ViTs, Swins and MaxViTs; `architectures.py` makes it.
const TABLE: &str = include_str!("architectures.tsv");

/// A timm architecture.
#[derive(Debug, PartialEq)]
pub(super) enum Architecture {
    /// One that is built: its family, and the arguments it gives timm's class.
    Built(&'static str, Value),
    /// One that is not, and why.
    Unbuilt(&'static str),
    /// timm has none of this name.
    Unknown,
}

/// The architecture called `name`, with or without the tag of its weights.
pub(super) fn architecture(name: &str) -> Architecture {
    let name = name.split('.').next().unwrap_or(name);
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let mut rows = rows.map(|line| line.split('\t').collect::<Vec<_>>());
    match rows.find(|row| row[0] == name).as_deref() {
        Some(&[_, "-", why]) => Architecture::Unbuilt(why),
        Some(&[_, "=", today]) => architecture(today),
        Some(&[_, family, arguments]) => {
            Architecture::Built(family, serde_json::from_str(arguments).unwrap_or_default())
        }
        _ => Architecture::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_line_can_be_read() {
        for line in TABLE.lines().skip(1) {
            let row: Vec<_> = line.split('\t').collect();
            assert_eq!(row.len(), 3, "{line}");
            match architecture(row[0]) {
                Architecture::Built(family, arguments) => {
                    assert!(["vit", "swin", "maxvit"].contains(&family), "{line}");
                    assert!(arguments.is_object(), "{line}");
                }
                Architecture::Unbuilt(why) => assert!(!why.is_empty()),
                Architecture::Unknown => panic!("{line}"),
            }
        }
    }

    #[test]
    fn names_are_what_timm_makes_of_them() {
        let gap = architecture("vit_base_patch16_gap_224");
        let Architecture::Built("vit", arguments) = gap else {
            panic!("{gap:?}")
        };
        // 16 heads of 48 channels: no other ViT of this width has them.
        assert_eq!(arguments["num_heads"], json!(16));
        assert_eq!(arguments["fc_norm"], json!(false));
        let today = architecture("vit_base_patch16_224");
        assert_eq!(architecture("vit_base_patch16_224_dino"), today);
        assert_eq!(architecture("vit_base_patch16_224.augreg_in1k"), today);
        assert_eq!(architecture("vit_mine"), Architecture::Unknown);
        for (name, why) in [
            ("vit_base_patch16_rpn_224", "ResPostBlock"),
            ("vit_base_patch16_siglip_224", "attention"),
            ("vit_relpos_base_patch16_224", "VisionTransformerRelPos"),
            ("deit_base_distilled_patch16_224", "Distilled"),
            ("swinv2_base_window8_256", "SwinTransformerV2"),
            ("swin_s3_base_224", "windows"),
            ("maxvit_rmlp_base_rw_224", "maxvit_*_tf_*"),
            ("beit_base_patch16_224", "Beit"),
            ("eva02_base_patch14_448", "Eva"),
            ("vit_giant_patch14_dinov2", "mlp_layer"),
        ] {
            let found = architecture(name);
            assert!(
                matches!(found, Architecture::Unbuilt(reason) if reason.contains(why)),
                "{name}: {found:?}"
            );
        }
    }
}
