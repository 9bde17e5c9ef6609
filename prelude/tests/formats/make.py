"""Reference files and values for tests/formats.rs: pip install timm open_clip_torch transformers safetensors.

    python make.py [path of dinov2_small.f16.safetensors]

One small random model a folder, saved by the library itself with its configuration, and what the library makes of one
input, in `expected.safetensors`: `<folder>.representation`, and for CLIPs `<folder>.text`. The input needs no file:
value i, counted over B x 3 x H x W, is (i * 7919 mod 256) / 255, and is normalised as the configuration says.

`resampled.safetensors`: position embeddings before and after timm's `resample_abs_pos_embed`. `dinov2_small.safetensors`:
representations by `vit_small_patch14_dinov2` with the published weights at 518 px and, resampled, at 224 px.
"""

import json
import os
import sys

import open_clip
import timm
import torch
import transformers as T
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from timm.models import save_for_hf

torch.manual_seed(0)
expected = {}


def pixels(batch, size):
    return (torch.arange(batch * 3 * size * size) * 7919 % 256).float().reshape(batch, 3, size, size) / 255


def normalised(batch, size, mean, std):
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (mean, std))
    return (pixels(batch, size) - mean) / std


def stirred(model):
    """Random weights everywhere: fresh norms, biases, tokens and scales are all ones and zeros."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * 0.2 + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
    return model.eval()


def half(folder, name="model.safetensors"):
    """Half precision, as files on the hub often are; the reference is of the rounded weights."""
    path = f"{folder}/{name}"
    save_file({k: v.half() if v.is_floating_point() else v for k, v in load_file(path).items()}, path)


def rounded(model):
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.half().float())
    return model


# transformers

small = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4)
processor = dict(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.25], resample=2, size={"shortest_edge": 20},
                 crop_size={"height": 16, "width": 16}, do_center_crop=True, do_resize=True)


def keep(folder, model, representation, size, **more):
    rounded(stirred(model)).save_pretrained(folder)
    half(folder)
    with open(f"{folder}/preprocessor_config.json", "w") as f:
        json.dump(processor, f, indent=2)
    with torch.no_grad():
        expected[f"{folder}.representation"] = representation(
            normalised(2, size, processor["image_mean"], processor["image_std"])).contiguous()
        for key, value in more.items():
            expected[f"{folder}.{key}"] = value().contiguous()


vit = T.ViTForImageClassification(T.ViTConfig(**small, intermediate_size=48, layer_norm_eps=1e-3))
keep("transformers_vit", vit, lambda x: vit.vit(x).last_hidden_state[:, 0], 16, logits=lambda: vit(
    normalised(2, 16, processor["image_mean"], processor["image_std"])).logits)
dino = T.Dinov2Model(T.Dinov2Config(**small, mlp_ratio=2))
keep("transformers_dinov2", dino, lambda x: dino(x).last_hidden_state[:, 0], 16)
registers = T.Dinov2WithRegistersModel(T.Dinov2WithRegistersConfig(**small, mlp_ratio=2, num_register_tokens=3))
keep("transformers_dinov2_registers", registers, lambda x: registers(x).last_hidden_state[:, 0], 16)
swin = T.SwinForImageClassification(
    T.SwinConfig(image_size=32, patch_size=4, embed_dim=12, depths=[2, 2], num_heads=[2, 4], window_size=4, mlp_ratio=2))
keep("transformers_swin", swin, lambda x: swin.swin(x).pooler_output, 32)
clip = T.CLIPModel(T.CLIPConfig(
    vision_config=dict(**small, intermediate_size=48, hidden_act="quick_gelu"),
    text_config=dict(hidden_size=20, num_hidden_layers=2, num_attention_heads=5, intermediate_size=80, vocab_size=30,
                     max_position_embeddings=8, bos_token_id=28, eos_token_id=29, pad_token_id=0, hidden_act="quick_gelu"),
    projection_dim=16))
ids = torch.tensor([[28, 5, 6, 29, 0, 0, 0, 0], [28, 1, 2, 3, 4, 7, 8, 29]])


def features(out):
    return out if torch.is_tensor(out) else out.pooler_output


keep("transformers_clip", clip, lambda x: features(clip.get_image_features(x)), 16,
     text=lambda: features(clip.get_text_features(ids)))

# open_clip

model_cfg = dict(embed_dim=16, quick_gelu=True,
                 vision_cfg=dict(image_size=16, layers=2, width=24, head_width=8, patch_size=4, mlp_ratio=2.0),
                 text_cfg=dict(context_length=8, vocab_size=30, width=20, heads=5, layers=2))
clip = rounded(stirred(open_clip.CLIP(**{k: v for k, v in model_cfg.items()})))
os.makedirs("open_clip", exist_ok=True)
state = {k: v.contiguous() for k, v in clip.state_dict().items()}
save_file({k: v.half() for k, v in state.items()}, "open_clip/open_clip_model.safetensors")
preprocess_cfg = dict(mean=[0.5, 0.4, 0.3], std=[0.25, 0.26, 0.27], interpolation="bicubic", resize_mode="squash")
with open("open_clip/open_clip_config.json", "w") as f:
    json.dump(dict(model_cfg=model_cfg, preprocess_cfg=preprocess_cfg), f, indent=2)
with torch.no_grad():
    x = normalised(2, 16, preprocess_cfg["mean"], preprocess_cfg["std"])
    expected["open_clip.representation"] = clip.encode_image(x).contiguous()
    expected["open_clip.text"] = clip.encode_text(ids).contiguous()

# timm


def timm_keep(folder, name, size, pickle=False, **arguments):
    model = rounded(stirred(timm.create_model(name, pretrained=False, **arguments)))
    model.pretrained_cfg = {**model.pretrained_cfg, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25),
                            "crop_pct": 0.8, "interpolation": "bilinear", "input_size": (3, size, size)}
    save_for_hf(model, folder, model_args=arguments, safe_serialization=not pickle)
    if not pickle:
        half(folder)
    with torch.no_grad():
        x = model.forward_features(normalised(2, size, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)))
        expected[f"{folder}.representation"] = model.forward_head(x, pre_logits=True).contiguous()


shape = dict(img_size=16, patch_size=4, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2, num_classes=5)
timm_keep("timm_vit", "vit_base_patch16_224", 16, **shape)
timm_keep("timm_pickle", "vit_base_patch16_224", 16, pickle=True, **shape)
timm_keep("timm_clip", "vit_base_patch16_clip_quickgelu_224", 16, **shape)
timm_keep("timm_registers", "vit_base_patch14_reg4_dinov2", 16, **{**shape, "num_classes": 0})
timm_keep("timm_deit3", "deit3_base_patch16_224", 16, **shape)
timm_keep("timm_swin", "swin_base_patch4_window7_224", 32, img_size=32, embed_dim=12, depths=(2, 2), num_heads=(2, 4),
          window_size=4, mlp_ratio=2, num_classes=5)
save_file(expected, "expected.safetensors")

out = {}
for old, new, prefix in [(4, 7, 1), (7, 4, 1), (5, 2, 5), (3, 8, 0), (6, 5, 1)]:
    before = torch.randn(1, prefix + old * old, 6)
    name = f"{old}_{new}_{prefix}"
    out[f"{name}.before"] = before
    out[f"{name}.after"] = resample_abs_pos_embed(before, [new, new], num_prefix_tokens=prefix).contiguous()
save_file(out, "resampled.safetensors")

if len(sys.argv) > 1:
    weights = {k: v.float() for k, v in load_file(sys.argv[1]).items()}
    out = {}
    for size in (518, 224):
        model = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=size).eval()
        state = dict(weights)
        state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], [size // 14] * 2)
        model.load_state_dict(state)
        mean, std = model.pretrained_cfg["mean"], model.pretrained_cfg["std"]
        with torch.no_grad():
            x = model.forward_features(normalised(1, size, mean, std))
            out[f"representation.{size}"] = model.forward_head(x, pre_logits=True).contiguous()
    save_file(out, "dinov2_small.safetensors")
