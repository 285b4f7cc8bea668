"""The workloads of a PACS against Orthanc, on one machine in one run: `python -m bench --help`."""
