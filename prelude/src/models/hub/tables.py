"""Makes `timm.tsv` and `open_clip.tsv`, the names that timm and open_clip publish and `load` takes, and `unbuilt.tsv`,
the names of both that it does not take.

    pip install timm open_clip_torch; python tables.py

Models of other architectures than the library builds are left out: pooling by attention or without class token and
`fc_norm`, SwiGLU, distillation tokens, Swin of varying windows, MaxViT other than TensorFlow's.
"""

import re

import open_clip
import timm
from open_clip.pretrained import _PRETRAINED

OTHER = re.compile(
    r"siglip|distilled|coatnet|coatnext|maxxvit|rmlp|_rw_|_gap_|beit|eva_|aimv2|radio|tips|intern|rpn|miil|swin_s3"
    r"|giant_patch14_(reg4_)?dinov2|^test_|so150m|xp_")
KINDS = {(0.485, 0.456, 0.406): "imagenet", (0.5, 0.5, 0.5): "half", (0.48145466, 0.4578275, 0.40821073): "clip"}


def kind(mean):
    return KINDS[tuple(mean)]


with open("timm.tsv", "w") as out:
    out.write("# name, repository where it is not timm/NAME, mean, crop, interpolation; the first of a kind is timm's default\n")
    for module in ("vision_transformer", "deit", "swin_transformer", "maxxvit"):
        for arch in timm.list_models(module=module):
            default = timm.get_pretrained_cfg(arch)
            if OTHER.search(arch) or default is None or not default.hf_hub_id:
                continue
            names = [n for n in timm.list_pretrained(arch + "*") if n.split(".")[0] == arch]
            names.sort(key=lambda n: (n != f"{arch}.{default.tag}", n))
            for name in names:
                cfg = timm.get_pretrained_cfg(name)
                if not cfg.hf_hub_id or cfg.tag in ("mae", "sam_in1k") or (cfg.tag or "").startswith("mlm"):
                    continue
                repo = "" if cfg.hf_hub_id == f"timm/{name}" else cfg.hf_hub_id
                out.write("\t".join([name, repo, kind(cfg.mean), str(cfg.crop_pct), cfg.interpolation]) + "\n")

# The first of a model is taken where no weights are named: the paper's, then LAION's.
FIRST = ["laion2b_s34b_b88k", "laion2b_s32b_b82k", "laion2b_s34b_b79k", "laion2b_s32b_b79k", "laion2b_s39b_b160k"]
with open("open_clip.tsv", "w") as out:
    out.write("# model, weights, repository, mean, activation, resize; the first of a model is the default\n")
    for model, tags in _PRETRAINED.items():
        cfg = open_clip.get_model_config(model)
        if cfg is None or "timm_model_name" in cfg["vision_cfg"] or "hf_model_name" in cfg["text_cfg"]:
            continue
        known = {"image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio"}
        known_text = {"context_length", "vocab_size", "width", "heads", "layers"}
        if not set(cfg["vision_cfg"]) <= known or not set(cfg["text_cfg"]) <= known_text or cfg.get("custom_text"):
            continue
        if isinstance(cfg["vision_cfg"]["layers"], list):
            continue
        for tag in sorted(tags, key=lambda t: (t not in FIRST, FIRST.index(t) if t in FIRST else 0)):
            c = tags[tag]
            if not c.get("hf_hub"):
                continue
            quick = cfg.get("quick_gelu") or c.get("quick_gelu")
            resize = c["resize_mode"]
            row = [model, tag, c["hf_hub"].rstrip("/"), kind(c["mean"]), "quick_gelu" if quick else "gelu", resize]
            out.write("\t".join(row) + "\n")

# What is named but not taken: a name that is not in the tables is then known to be no slip of the pen.
taken = {line.split("\t")[0].split(".")[0] for line in open("timm.tsv") if not line.startswith("#")}
clips = {line.split("\t")[0] for line in open("open_clip.tsv") if not line.startswith("#")}
with open("unbuilt.tsv", "w") as out:
    out.write("# library, module or tower, why (no weights are published, or the kind is not built), architectures\n")
    for module in timm.list_modules():
        rest = [a for a in timm.list_models(module=module) if a not in taken and not a.startswith("test_")]
        family = module in ("vision_transformer", "deit", "swin_transformer", "maxxvit")
        plain = [a for a in rest if family and not OTHER.search(a)]
        for why, names in (("weights", plain), ("kind", [a for a in rest if a not in plain])):
            if names:
                out.write("\t".join(["timm", module, why, " ".join(names)]) + "\n")
    kinds = {}
    for model in open_clip.list_models():
        if model in clips:
            continue
        cfg = open_clip.get_model_config(model)
        vision, text = cfg["vision_cfg"], cfg["text_cfg"]
        tower = vision.get("timm_model_name") or text.get("hf_model_name")
        if tower is None:
            tower = "a ResNet" if isinstance(vision["layers"], list) else "CoCa" if "multimodal_cfg" in cfg else None
        plain = tower is None and model not in _PRETRAINED
        kinds.setdefault((tower or "a variant of its own", "weights" if plain else "kind"), []).append(model)
    for (tower, why), names in sorted(kinds.items()):
        out.write("\t".join(["open_clip", tower, why, " ".join(names)]) + "\n")
