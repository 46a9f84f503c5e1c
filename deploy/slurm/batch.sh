#!/bin/sh
# A folder of videos on a shared file system, by an array of eight tasks:
#
#   sbatch deploy/slurm/batch.sh /shared/in /shared/out
#
# Each task takes its part of the files and skips what is finished: submit it again after a failure.
#SBATCH --job-name=raftline-batch
#SBATCH --array=0-7
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
set -eu
exec raftline batch batch "$1" -o "$2" --shard auto
