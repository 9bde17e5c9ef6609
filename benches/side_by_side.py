"""PyTorch's side of side_by_side.rs and from_files.rs: takes one order a line, answers with seconds and the peak memory in MB.

    model NAME IMAGES    timm's model of that name, random weights, and that many images
    forward              its features without a head, under inference_mode
    aligner COMPONENTS WIDTH IMAGES
    step                 one Adam step of a linear map for each component, as the paper's code has it
    decode FILE          a JPEG file to 224 pixels by timm's own evaluation transform
    save FOLDER          the model, as the Hugging Face hub has models of timm
    files BATCH COMPILED FOLDER
                         the model's features of all files of a folder, decoded by as many processes as there are
                         threads; COMPILED is `true` or `false`
"""

import contextlib
import json
import os
import re
import sys
import time

import safetensors.torch
import timm
import torch


def peak_mb():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) / 1e3


def timed(work):
    time.sleep(0.1)  # Idle threads of what was measured before look for work for a while.
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    start = time.perf_counter()
    work()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start, peak_mb()


class Files(torch.utils.data.Dataset):
    """The pictures of a folder, as timm's transform for evaluation makes them."""

    def __init__(self, folder, transform):
        self.files = sorted(os.path.join(folder, name) for name in os.listdir(folder))
        self.transform = transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        from PIL import Image

        return self.transform(Image.open(self.files[i]).convert("RGB"))


class Aligner(torch.nn.Module):
    """The paper's loss: mean(1 - cos) + sum of D * mean((W^T W - I)^2) / D over the components."""

    def __init__(self, components, width):
        super().__init__()
        self.maps = torch.nn.ModuleList(torch.nn.Linear(width, width, bias=False) for _ in range(components))
        self.bias = torch.nn.Parameter(torch.zeros(width))

    def loss(self, x, target):
        z = sum(linear(one) for linear, one in zip(self.maps, x)) + self.bias
        unit = torch.eye(target.shape[1], device=target.device)
        cosine = torch.nn.functional.cosine_similarity(z, target).mean()
        apart = sum(((m.weight.T @ m.weight - unit) ** 2).sum() for m in self.maps) / len(self.maps)
        return 1 - cosine + apart / target.shape[1]


def main():
    device, products = sys.argv[2:4]
    torch.set_num_threads(int(sys.argv[1]))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = products == "tf32"
    half = {"bf16": torch.bfloat16, "f16": torch.float16}.get(products)

    def precision():
        if half is None:
            return contextlib.nullcontext()
        return torch.autocast(device.split(":")[0], dtype=half)

    compiled = None

    def features(forward, batch, folder):
        """Of all files of a folder."""
        config = timm.data.resolve_model_data_config(model)
        files = Files(folder, timm.data.create_transform(**config, is_training=False))
        loader = torch.utils.data.DataLoader(files, batch, num_workers=int(sys.argv[1]), pin_memory=device != "cpu")
        with torch.inference_mode(), precision():
            return torch.cat([forward(x.to(device, non_blocking=True)) for x in loader])

    name = model = pixels = aligner = adam = x = target = transform = None
    for line in sys.stdin:
        order, *words = line.split()
        if order == "model":
            name = words[0]
            model = timm.create_model(name, pretrained=False, num_classes=0).eval().to(device)
            size = model.pretrained_cfg["input_size"][-1]
            pixels = torch.rand(int(words[1]), 3, size, size, device=device)
            print(0, 0, flush=True)
        elif order == "forward":
            with torch.inference_mode(), precision():
                print(*timed(lambda: model(pixels)), flush=True)
        elif order == "save":
            os.makedirs(words[0])
            safetensors.torch.save_file(model.state_dict(), os.path.join(words[0], "model.safetensors"))
            config = {"architecture": name, "num_classes": 0, "pretrained_cfg": model.pretrained_cfg}
            with open(os.path.join(words[0], "config.json"), "w") as file:
                json.dump(config, file)
            print(0, 0, flush=True)
        elif order == "files":
            batch, as_compiled, folder = words
            if as_compiled == "true":
                compiled = compiled or torch.compile(model)
            forward = compiled if as_compiled == "true" else model
            print(*timed(lambda: features(forward, int(batch), folder)), flush=True)
        elif order == "aligner":
            components, width, images = map(int, words)
            model = pixels = None
            aligner = Aligner(components, width).to(device)
            adam = torch.optim.Adam(aligner.parameters(), lr=3e-4)
            x = torch.randn(components, images, width, device=device)
            target = torch.randn(images, width, device=device)
            print(0, 0, flush=True)
        elif order == "step":

            def step():
                adam.zero_grad()
                aligner.loss(x, target).backward()
                adam.step()

            print(*timed(step), flush=True)
        elif order == "decode":
            from PIL import Image

            transform = transform or timm.data.create_transform(224, is_training=False)
            print(*timed(lambda: transform(Image.open(words[0]).convert("RGB"))), flush=True)
        else:
            sys.exit(f"unknown order {order}")


main()
