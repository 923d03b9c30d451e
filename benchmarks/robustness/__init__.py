"""Robustness: kills, small disks, damaged and hostile files, wrong command lines."""
