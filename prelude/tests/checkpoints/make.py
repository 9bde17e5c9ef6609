"""Training files as people save them, for tests/checkpoints.rs: pip install torch timm safetensors numpy.

    python make.py

All are of two tiny random ViTs, `first` and `second` (`deep` has two blocks), whose representations of one input are in
`expected.safetensors`: value i of the input, counted over B x 3 x H x W, is (i * 7919 mod 256) / 255, normalised with
ImageNet's mean and deviation.
"""

import argparse
import collections
import datetime
import functools
import json
import types

import numpy as np
import timm
import torch
from safetensors.torch import save_file

expected = {}
SHAPE = dict(img_size=8, patch_size=4, embed_dim=8, num_heads=1, mlp_ratio=1, num_classes=3)


def made(name, seed, depth=1, **more):
    torch.manual_seed(seed)
    model = timm.models.vision_transformer.VisionTransformer(**SHAPE, depth=depth, **more).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * 0.3 + (1.0 if "norm" in key and key.endswith("weight") else 0.0))
    return keep(name, model)


def keep(name, model):
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = (torch.arange(2 * 3 * 8 * 8) * 7919 % 256).float().reshape(2, 3, 8, 8) / 255
    with torch.no_grad():
        z = model.forward_head(model.forward_features((x - mean) / std), pre_logits=True)
    expected[name] = z.contiguous()
    return model


first, second = made("first", 1), made("second", 2)
a, b = first.state_dict(), second.state_dict()
deep = made("deep", 3, depth=4)
other = made("other", 4, depth=4)


def wrapped(state, wrapper):
    return collections.OrderedDict((wrapper + key, value) for key, value in state.items())


def bare(state):
    return {key: value for key, value in state.items() if not key.startswith("head.")}


optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4, 4)}},
             "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}]}

# Beside what a training loop has at hand: numbers of NumPy, dates, arguments, counters, functions.
torch.save({
    "epoch": 3, "best_acc1": torch.tensor(71.5), "args": argparse.Namespace(lr=0.1, model="vit", betas=[0.9, 0.99]),
    "loss": np.float64(0.25), "history": np.arange(3), "when": datetime.datetime(2024, 1, 2), "size": torch.Size([2, 3]),
    "meters": collections.defaultdict(list, {"loss": [1.0]}), "counts": collections.Counter("aab"), "names": {"x", "y"},
    "rng": torch.get_rng_state(), "dtype": torch.float32, "device": torch.device("cpu"), "big": 2 ** 70, "none": None,
    "activation": functools.partial(torch.nn.functional.gelu, approximate="none"), "config": types.SimpleNamespace(a=1),
    "scaler": {"scale": 65536.0}, "optimizer": optimizer, "model_state_dict": a,
}, "loop.pth")
# timm's training script.
torch.save({"epoch": 1, "arch": "vit", "state_dict": a, "optimizer": optimizer, "version": 2,
            "args": argparse.Namespace(model_ema=True), "state_dict_ema": wrapped(b, "module.")}, "timm_ema.pth")
# The same dictionary under two names is one model.
torch.save({"model": a, "state_dict": a, "ema": None}, "twice.pth")
# Two models, neither of which is the one that is evaluated.
torch.save({"left": a, "right": b}, "two.pth")
# Lightning.
torch.save({"epoch": 1, "global_step": 10, "pytorch-lightning_version": "2.2.0", "loops": {}, "callbacks": {},
            "optimizer_states": [optimizer], "lr_schedulers": [], "hyper_parameters": {"lr": 1e-3},
            "state_dict": {**wrapped(a, "model._orig_mod."), "criterion.weight": torch.ones(3)}}, "lightning.ckpt")
# In lists and dictionaries.
torch.save({"run": {"folds": [{"net": wrapped(a, "module.")}]}}, "deep.pth")
# DINO: student wrapped by DDP, teacher not, heads beside the backbones.
head = {"head.mlp.0.weight": torch.ones(4, 8), "head.last_layer.weight_v": torch.ones(3, 4)}
torch.save({"student": wrapped({**wrapped(bare(a), "backbone."), **head}, "module."),
            "teacher": {**wrapped(bare(b), "backbone."), **head}, "epoch": 5, "optimizer": optimizer,
            "dino_loss": {"center": torch.zeros(1, 3)}}, "dino.pth")
# MoCo v3: a head of several layers in place of the classifier's.
head = {"head.0.weight": torch.ones(4, 8), "head.1.running_mean": torch.zeros(4),
        "head.1.num_batches_tracked": torch.tensor(7)}
torch.save({"arch": "vit", "state_dict": {**wrapped({**bare(a), **head}, "module.base_encoder."),
                                          **wrapped({**bare(b), **head}, "module.momentum_encoder."),
                                          "module.predictor.0.weight": torch.ones(4, 4)}}, "moco.pth")
# torch.optim.swa_utils.AveragedModel.
torch.save({"n_averaged": torch.tensor(5), **wrapped(a, "module.")}, "averaged.pth")


def chunked(state, restart):
    def renamed(key):
        if not key.startswith("blocks."):
            return key
        _, block, rest = key.split(".", 2)
        chunk, inside = int(block) // 2, int(block) % 2
        return f"blocks.{chunk}.{inside if restart else block}.{rest}"
    return {renamed(key): value for key, value in state.items()}


# DINOv2's training: blocks in chunks, teacher and student in one dictionary.
heads = {"dino_head.mlp.0.weight": torch.ones(4, 8)}
student = {**wrapped(chunked(bare(other.state_dict()), False), "backbone."), **heads}
teacher = {**wrapped(chunked({**bare(deep.state_dict()), "mask_token": torch.zeros(1, 8)}, False), "backbone."), **heads}
half = lambda state: {key: value.half() for key, value in state.items()}  # noqa: E731
torch.save({"model": half({**wrapped(student, "student."), **wrapped(teacher, "teacher.")}), "iteration": 5}, "dinov2.pth")
save_file(half(chunked(deep.state_dict(), True)), "chunks.safetensors")
# A masked autoencoder with its decoder.
decoder = {"mask_token": torch.zeros(1, 1, 4), "decoder_pos_embed": torch.zeros(1, 5, 4),
           "decoder_embed.weight": torch.zeros(4, 8), "decoder_blocks.0.norm1.weight": torch.ones(4),
           "decoder_norm.weight": torch.ones(4), "decoder_pred.weight": torch.ones(48, 4)}
torch.save({"model": {**bare(a), **decoder}}, "mae.pth")
# Biases of queries and values only, and scales of the branches: BEiT's blocks.
torch.manual_seed(5)
beit = timm.models.vision_transformer.VisionTransformer(**SHAPE, depth=1, init_values=0.5).eval()
beit.load_state_dict({**b, "blocks.0.ls1.gamma": torch.randn(8), "blocks.0.ls2.gamma": torch.randn(8)})
with torch.no_grad():
    beit.blocks[0].attn.qkv.bias[8:16] = 0
keep("beit", beit)
state = beit.state_dict()
bias = state.pop("blocks.0.attn.qkv.bias")
state["blocks.0.attn.q_bias"], state["blocks.0.attn.v_bias"] = bias[:8].clone(), bias[16:].clone()
state["blocks.0.gamma_1"], state["blocks.0.gamma_2"] = state.pop("blocks.0.ls1.gamma"), state.pop("blocks.0.ls2.gamma")
torch.save({"module": state}, "beit.pth")
# PyTorch before 1.6.
torch.save({"model": a, "epoch": 3, "flags": torch.tensor([True]), "ints": torch.arange(3)}, "legacy.pth",
           _use_new_zipfile_serialization=False)
# Views into one storage, a transposed matrix, doubles and halves, in another protocol.
flat = torch.cat([value.flatten() for value in a.values()])
views, at = {}, 0
for key, value in a.items():
    views[key] = flat[at:at + value.numel()].view(value.shape)
    at += value.numel()
views["blocks.0.mlp.fc1.weight"] = a["blocks.0.mlp.fc1.weight"].t().contiguous().t()
views["patch_embed.proj.weight"] = a["patch_embed.proj.weight"].double().to(memory_format=torch.channels_last)
views["norm.weight"] = torch.nn.Parameter(a["norm.weight"])
torch.save(views, "views.pth", pickle_protocol=4)
# Few bits.
small = first.state_dict()
for key, kind in [("head.weight", torch.float64), ("norm.bias", torch.bfloat16), ("blocks.0.mlp.fc1.weight", torch.float8_e4m3fn),
                  ("blocks.0.mlp.fc2.weight", torch.float8_e5m2)]:
    small[key] = small[key].to(kind)
first.load_state_dict({key: value.float() for key, value in small.items()})
keep("small", first)
first.load_state_dict(made("first", 1).state_dict())
save_file(small, "small.safetensors")
torch.save(small, "small.pth")
# No weights: a whole module, a program, FSDP's flat parameters, quantised numbers.
torch.save({"epoch": 1, "model": torch.nn.Linear(2, 2)}, "module.pth")
torch.save(torch.nn.Linear(2, 2), "bare_module.pth")
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), "script.pt")
torch.save({"model": {"_flat_param": torch.zeros(10), "_fsdp_wrapped_module.blocks.0._flat_param": torch.zeros(10)}}, "flat.pth")
quantised = {**a, "blocks.0.attn.qkv.weight": torch.zeros(24, 8, dtype=torch.int8), "blocks.0.attn.qkv.SCB": torch.ones(24)}
torch.save(quantised, "int8.pth")
torch.save({**a, "head.weight": torch.quantize_per_tensor(a["head.weight"], 0.1, 0, torch.qint8)}, "qint8.pth")
torch.save({"conv1.weight": torch.ones(2, 3, 1, 1), "layer1.0.bn1.weight": torch.ones(2), "note": "x"}, "resnet.pth")
# Two files with an index, as transformers saves large models.
keys = list(a)
parts = [{key: a[key] for key in keys[:9]}, {key: a[key] for key in keys[9:]}]
index = {}
for i, part in enumerate(parts):
    name = f"pytorch_model-{i + 1:05}-of-00002.bin"
    torch.save({key: value.clone() for key, value in part.items()}, name)
    index |= {key: name for key in part}
with open("pytorch_model.bin.index.json", "w") as f:
    json.dump({"metadata": {"total_size": 1}, "weight_map": index}, f, indent=0)
save_file(expected, "expected.safetensors")
