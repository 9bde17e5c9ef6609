"""The cases of make.py: a folder of ../formats, what is changed in its configuration, and in its tensors."""

NO_CLASS = [["drop", "cls_token"], ["rows_from", "pos_embed", 1]]
FC_NORM = [["rename", "norm.", "fc_norm."]]
CLIP_BLOCKS = [f"{tower}transformer.resblocks.{i}" for tower in ("visual.", "") for i in (0, 1)]


def timm(name, tensors=(), architecture="vit_base_patch16_224", base="timm_vit", **arguments):
    config = {"architecture": architecture, "model_args": arguments}
    if "global_pool" in arguments:
        config["global_pool"] = arguments["global_pool"]
    return dict(name=f"timm_{name}", base=base, config={"config.json": config}, tensors=list(tensors))


def open_clip(name, tensors=(), vision={}, text={}, **model):
    config = {"model_cfg": {**model, "vision_cfg": vision, "text_cfg": text}}
    return dict(name=f"open_clip_{name}", base="open_clip", config={"open_clip_config.json": config},
                tensors=list(tensors))


def transformers(name, base, **config):
    return dict(name=f"transformers_{name}", base=f"transformers_{base}", config={"config.json": config}, tensors=[])


CASES = [
    *[timm(f"act_{act}", act_layer=act) for act in ("relu", "silu", "gelu_tanh", "quick_gelu")],
    timm("norm_layer", norm_layer="layernorm"),
    timm("avg", FC_NORM, global_pool="avg"),
    timm("avg_of_all", FC_NORM, global_pool="avg", pool_include_prefix=True),
    timm("avg_norm_first", global_pool="avg", fc_norm=False),
    timm("token_norm_last", FC_NORM, fc_norm=True),
    timm("no_class", NO_CLASS, class_token=False, global_pool="avg", fc_norm=False),
    timm("no_class_norm_last", NO_CLASS + FC_NORM, class_token=False, global_pool="avg"),
    timm("no_final_norm", [["drop", "norm."]], final_norm=False),
    timm("no_qkv_bias", [["drop_ending", "attn.qkv.bias"]], qkv_bias=False),
    timm("no_proj_bias", [["drop_ending", "attn.proj.bias"], ["drop_ending", "fc1.bias"], ["drop_ending", "fc2.bias"]],
         proj_bias=False),
    timm("dynamic", dynamic_img_size=True),
    # The name alone says that there is no class token, that tokens are normed before the mean, and the activation.
    timm("gap", NO_CLASS, "vit_base_patch16_gap_224", global_pool="avg"),
    timm("siglip_gap", NO_CLASS, "vit_giantopt_patch16_siglip_gap_256", global_pool="avg"),
    open_clip("avg", vision={"pool_type": "avg"}),
    open_clip("avg_norm_last", vision={"pool_type": "avg", "final_ln_after_pool": True}),
    open_clip("tok_norm_last", vision={"final_ln_after_pool": True}),
    open_clip("first", text={"pool_type": "first"}),
    open_clip("last", text={"pool_type": "last"}),
    open_clip("eos", text={"pool_type": "eos", "eos_id": 5}),
    open_clip("argmax", text={"pool_type": "argmax"}),
    open_clip("no_causal_mask", text={"no_causal_mask": True}),
    open_clip("eps", vision={"norm_kwargs": {"eps": 0.1}}, text={"norm_kwargs": {"eps": 0.3}}),
    open_clip("tanh", vision={"act_kwargs": {"approximate": "tanh"}}, quick_gelu=False),
    open_clip("scale", [["add", f"{b}.ls_{n}.gamma", 24 if b.startswith("visual") else 20]
                        for b in CLIP_BLOCKS for n in (1, 2)],
              vision={"ls_init_value": 0.1}, text={"ls_init_value": 0.1}),
    open_clip("no_ln_pre", [["drop", "visual.ln_pre."]], vision={"no_ln_pre": True}),
    transformers("clip_eps", "clip", vision_config={"layer_norm_eps": 0.1}, text_config={"layer_norm_eps": 0.3}),
    transformers("clip_acts", "clip", vision_config={"hidden_act": "gelu"}, text_config={"hidden_act": "relu"}),
    transformers("clip_eos", "clip", text_config={"eos_token_id": 5}),
    transformers("clip_eos_2", "clip", text_config={"eos_token_id": 2}),
    transformers("vit_silu", "vit", hidden_act="silu"),
    transformers("vit_tanh", "vit", hidden_act="gelu_new"),
    transformers("vit_eps", "vit", layer_norm_eps=0.2),
    transformers("dinov2_relu", "dinov2", hidden_act="relu"),
    transformers("dinov2_eps", "dinov2", layer_norm_eps=0.2),
    transformers("swin_relu", "swin", hidden_act="relu"),
    transformers("swin_eps", "swin", layer_norm_eps=0.2),
]

PROCESSOR = dict(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.25], do_normalize=True, do_rescale=True,
                 rescale_factor=1 / 255, do_resize=True, resample=3)
CLIP = dict(PROCESSOR, image_processor_type="CLIPImageProcessor", do_center_crop=True, size={"shortest_edge": 20},
            crop_size={"height": 16, "width": 16})
VIT = dict(PROCESSOR, image_processor_type="ViTImageProcessor", size={"height": 16, "width": 16})
DEIT = dict(PROCESSOR, image_processor_type="DeiTImageProcessor", do_center_crop=True, size={"height": 20, "width": 20},
            crop_size={"height": 16, "width": 16})
BIT = dict(CLIP, image_processor_type="BitImageProcessor")
CONVNEXT = dict(PROCESSOR, image_processor_type="ConvNextImageProcessor", size={"shortest_edge": 16}, crop_pct=0.8)


def without(processor, *names):
    return {k: v for k, v in processor.items() if k not in names}


PROCESSORS = {
    "clip": CLIP,
    "clip_odd_size": dict(CLIP, size={"shortest_edge": 25}, crop_size=16),
    "clip_size_number": dict(CLIP, size=20),
    "clip_squashed": dict(CLIP, size={"height": 20, "width": 20}),
    "clip_lanczos": dict(CLIP, resample=1),
    "clip_box": dict(CLIP, resample=4),
    "clip_hamming": dict(CLIP, resample=5),
    "clip_mean_number": dict(CLIP, image_mean=0.5, image_std=0.25),
    "clip_no_normalize": dict(CLIP, do_normalize=False),
    "clip_no_rescale": dict(CLIP, do_rescale=False),
    "clip_rescale_127": dict(CLIP, rescale_factor=1 / 127.5),
    "clip_rescale_only": dict(CLIP, rescale_factor=1 / 127.5, do_normalize=False),
    "vit": VIT,
    "vit_size_number": dict(VIT, size=16),
    "vit_default_filter": without(VIT, "resample"),
    "deit": DEIT,
    "bit": BIT,
    "convnext": CONVNEXT,
    # Off by one where the share of the crop is rounded carelessly.
    "clip_off_by_one": dict(CLIP, size={"shortest_edge": 99}, crop_size=16),
}
