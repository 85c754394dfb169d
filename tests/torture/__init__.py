"""A torture campaign: kills, full disks, damaged files and hostile images, with what must survive them.

    python -m tests.torture --minutes 10 --seed 0

Every attempt follows from the seed, the name of its attack and its number, except the exact moment of a kill by time.
"""
