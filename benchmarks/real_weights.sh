#!/usr/bin/env bash
# Public purifiers with ResNet-56 on every 20th CIFAR-10 test image: import, export, certify, one-draw accuracy, report.
#
#     benchmarks/real_weights.sh WEIGHTS DATA [--data-dir DIR]
#
# WEIGHTS holds color_kair/ffdnet_color.pth (cszn/KAIR), cifar10_ddpm_hirokiuemura2/model_weights_shallow_24Channels.pth
# (hirokiuemura2/Diffusion-with-CIFAR-10) and resnet56-4bfd9763.th (akamaster/pytorch_resnet_cifar10). DATA is
# 'cifar10:test[::20]' with --data-dir, or an npz file of the same images. About 50 minutes on two cores.
set -euo pipefail
weights=$1 data=$2
shift 2
classifier=cifar-resnet=$weights/resnet56-4bfd9763.th

engine-import --purifier "ffdnet=$weights/color_kair/ffdnet_color.pth" --classifier "$classifier" -o ffdnet.pt
engine-import --purifier "film-ddpm=$weights/cifar10_ddpm_hirokiuemura2/model_weights_shallow_24Channels.pth" \
  --classifier "$classifier" -o film-ddpm.pt
for model in ffdnet film-ddpm; do
  engine-export $model.pt -o plan-$model --sigma 0.12 --sigma 0.25 --data "$data" "$@"
  for sigma in 0.12 0.25; do
    engine-certify --plan plan-$model --data "$data" "$@" --sigma $sigma --n0 100 --n 1000 --backend torch --batch 64 \
      --out run-$model-$sigma
  done
  python "$(dirname "$0")/one_draw_accuracy.py" $model.pt "$data" 0.12 0.25 "$@" >one-draw-$model.json
done
engine-report run-ffdnet-* run-film-ddpm-* --radii 0,0.1,0.2,0.25,0.3,0.4,0.5 --out report
