"""Reference values for tests/configurations: pip install timm==1.0.31 open_clip_torch==3.3.0 transformers==4.51.3.

    python make.py

Each case takes the weights and the configuration of a folder of ../formats, changes both, and notes what the library
makes of the input of ../formats/make.py in `expected.safetensors`: `<case>.representation`, and for CLIPs `<case>.text`.
The cases themselves are in `cases.json`, for the test to change the files likewise. `processor.<name>` are the pixel
values that transformers' image processor makes of ../pictures/rocket_part.png, normalised.
"""

import json
import os

import open_clip
import timm
import torch
import transformers as T
from PIL import Image
from safetensors.torch import load_file, save_file

from cases import CASES, PROCESSORS

FORMATS = "../formats"
IDS = torch.tensor([[28, 29, 6, 5, 27, 1, 0, 0], [28, 1, 5, 3, 29, 7, 8, 26]])


def merged(base, over):
    out = dict(base)
    for key, value in over.items():
        inner = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if inner else value
    return out


def changed(state, changes):
    for change, key, *more in changes:
        if change == "drop":
            state = {k: v for k, v in state.items() if not k.startswith(key)}
        elif change == "drop_ending":
            state = {k: v for k, v in state.items() if not k.endswith(key)}
        elif change == "rename":
            state = {(more[0] + k[len(key):] if k.startswith(key) else k): v for k, v in state.items()}
        elif change == "rows_from":
            state[key] = state[key][:, more[0]:]
        elif change == "add":
            state[key] = torch.arange(more[0]).float() % 7 / 8 - 0.25
    return state


def pixels(batch, size, mean, std):
    x = (torch.arange(batch * 3 * size * size) * 7919 % 256).float().reshape(batch, 3, size, size) / 255
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (mean, std))
    return (x - mean) / std


def loaded(model, state):
    missing = model.load_state_dict(state, strict=False)
    wrong = [k for k in missing.missing_keys if "position_ids" not in k and "relative_position_index" not in k
             and "attn_mask" not in k and "mask_token" not in k]
    unexpected = [k for k in missing.unexpected_keys if "pooler" not in k and "position_ids" not in k]
    assert not wrong and not unexpected, (wrong, unexpected)
    return model.eval()


def features(out):
    return out if torch.is_tensor(out) else out.pooler_output


def of_timm(config, state):
    arguments = dict(config["model_args"])
    model = loaded(timm.create_model(config["architecture"], pretrained=False, **arguments), state)
    cfg = config["pretrained_cfg"]
    x = pixels(2, cfg["input_size"][1], cfg["mean"], cfg["std"])
    return {"representation": model.forward_head(model.forward_features(x), pre_logits=True)}


def of_open_clip(config, state):
    model = loaded(open_clip.CLIP(**config["model_cfg"]), state)
    cfg = config["preprocess_cfg"]
    x = pixels(2, config["model_cfg"]["vision_cfg"]["image_size"], cfg["mean"], cfg["std"])
    return {"representation": model.encode_image(x), "text": model.encode_text(IDS)}


def of_transformers(config, state, processor):
    kind = config["model_type"]
    cls = {"vit": T.ViTForImageClassification, "dinov2": T.Dinov2Model, "swin": T.SwinForImageClassification,
           "clip": T.CLIPModel}[kind]
    model = loaded(cls(cls.config_class(**config)), state)
    size = config["vision_config"]["image_size"] if kind == "clip" else config["image_size"]
    x = pixels(2, size, processor["image_mean"], processor["image_std"])
    if kind == "clip":
        return {"representation": features(model.get_image_features(x)), "text": features(model.get_text_features(IDS))}
    if kind == "swin":
        return {"representation": model.swin(x).pooler_output}
    return {"representation": getattr(model, "vit", model)(x).last_hidden_state[:, 0]}


expected = {}
with torch.no_grad():
    for case in CASES:
        folder = f"{FORMATS}/{case['base']}"
        (name, change), = case["config"].items()
        config = merged(json.load(open(f"{folder}/{name}")), change)
        weights = "open_clip_model.safetensors" if name.startswith("open_clip") else "model.safetensors"
        state = {k: v.float() for k, v in load_file(f"{folder}/{weights}").items()}
        state = changed(state, case["tensors"])
        if name.startswith("open_clip"):
            values = of_open_clip(config, state)
        elif "architecture" in config:
            values = of_timm(config, state)
        else:
            values = of_transformers(config, state, json.load(open(f"{folder}/preprocessor_config.json")))
        for key, value in values.items():
            expected[f"{case['name']}.{key}"] = value.contiguous()

picture = Image.open("../pictures/rocket_part.png").convert("RGB")
for name, fields in PROCESSORS.items():
    processor = getattr(T, fields["image_processor_type"])(
        **{k: v for k, v in fields.items() if k != "image_processor_type"})
    expected[f"processor.{name}"] = processor(picture, return_tensors="pt")["pixel_values"].float().contiguous()

save_file(expected, "expected.safetensors")
with open("cases.json", "w") as f:
    json.dump(dict(cases=CASES, processors=PROCESSORS), f, indent=1)
    f.write("\n")
