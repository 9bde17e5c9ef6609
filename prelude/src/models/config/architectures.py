"""Makes `architectures.tsv`: what the names of timm's ViTs, Swins and MaxViTs stand for.

    pip install timm==1.0.31; python architectures.py

One line a name: the name, the class's family here, and the arguments that its function passes to timm's class where
they are not the class's defaults, as JSON; or, in place of the family, `-` and why the model is not built. A norm layer
is its eps.
"""

import functools
import inspect
import json

import timm
import torch.nn as nn
from timm.models import maxxvit, swin_transformer, vision_transformer

# What has no effect on a forward pass of images of the model's size, or is held against the weights anyway.
TRAINING = {"weight_init", "fix_init", "drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate",
            "attn_drop_rate", "drop_path_rate", "dynamic_img_size", "strict_img_size", "num_classes", "in_chans"}


class Caught(Exception):
    pass


def catch(self, *args, **kwargs):
    raise Caught(type(self), args, kwargs)


for cls in (vision_transformer.VisionTransformer, swin_transformer.SwinTransformer, maxxvit.MaxxVit):
    cls.signature = inspect.signature(cls.__init__)
# No model is made in earnest.
nn.Module.__init__ = catch
for cls in (vision_transformer.VisionTransformer, swin_transformer.SwinTransformer, maxxvit.MaxxVit):
    cls.__init__ = catch


def value(name, v):
    """An argument's name and value in the table; fails with the reason where the model is not built."""
    if name == "norm_layer":
        if isinstance(v, functools.partial) and issubclass(v.func, nn.LayerNorm):
            return "norm_eps", v.keywords.get("eps", 1e-5)
        if v is nn.LayerNorm:
            return "norm_eps", 1e-5
        raise ValueError(f"its norms are {getattr(v, '__name__', v)}")
    if name == "act_layer":
        v = v if isinstance(v, str) else {nn.GELU: "gelu"}.get(v, getattr(v, "__name__", str(v)))
        return "act_layer", {"QuickGELU": "quick_gelu", "GELUTanh": "gelu_tanh"}.get(v, v)
    if callable(v):
        raise ValueError(f"{name} = {getattr(v, '__name__', None) or v.func.__name__}")
    return name, list(v) if isinstance(v, tuple) else v


REASONS = {"map": "it pools by attention", "max": "it pools by the maximum"}
rows = []
for module in ("vision_transformer", "vision_transformer_hybrid", "vision_transformer_relpos", "vision_transformer_sam",
               "deit", "swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr", "maxxvit", "beit", "eva"):
    for name in timm.list_models(module=module):
        try:
            timm.create_model(name, pretrained=False)
        except Caught as caught:
            cls, args, kwargs = caught.args
        family = {"VisionTransformer": "vit", "SwinTransformer": "swin", "MaxxVit": "maxvit"}.get(cls.__name__)
        if family is None:
            rows.append((name, "-", f"it is timm's {cls.__name__}"))
            continue
        if family == "maxvit":
            cfg = args[0] if args else kwargs.pop("cfg")
            built = "_tf_" in name
            if not built:
                rows.append((name, "-", "of MaxxVit the maxvit_*_tf_* are built"))
                continue
            t, c = cfg.transformer_cfg, cfg.conv_cfg
            given = dict(
                stem_width=cfg.stem_width, embed_dim=list(cfg.embed_dim), depths=list(cfg.depths),
                head_hidden_size=cfg.head_hidden_size, transformer_dim_head=t.dim_head,
                transformer_partition_ratio=t.partition_ratio, transformer_norm_eps=t.norm_eps, conv_norm_eps=c.norm_eps)
            rows.append((name, family, json.dumps(given, separators=(",", ":"))))
            continue
        bound = cls.signature.bind(None, *args, **kwargs).arguments
        bound.update(bound.pop("kwargs", {}))
        out, reason = {}, None
        for key, v in bound.items():
            parameter = cls.signature.parameters.get(key)
            if key in TRAINING or key == "self" or (parameter and v == parameter.default):
                continue
            try:
                key, v = value(key, v)
                out[key] = v
            except ValueError as e:
                reason = str(e)
        reason = REASONS.get(out.get("global_pool"), reason)
        windows = out.get("window_size")
        if isinstance(windows, list) and len(set(windows)) > 1:
            reason = "its windows differ from stage to stage"
        if reason:
            rows.append((name, "-", reason))
        else:
            rows.append((name, family, json.dumps(out, separators=(",", ":"))))

# Names of before timm 0.9, which old configuration files have.
known = {row[0] for row in rows}
for old, new in timm.models._registry._deprecated_models.items():
    if new and new.split(".")[0] in known and old not in known:
        rows.append((old, "=", new.split(".")[0]))

with open("architectures.tsv", "w") as f:
    f.write(f"# timm {timm.__version__}: name, family, arguments that are not its class's defaults; or -, why it is not built; or =, its name today\n")
    f.writelines("\t".join(row) + "\n" for row in sorted(set(rows)))
