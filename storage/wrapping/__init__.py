"""Images, videos and documents of everyday formats as DICOM instances: a file and attributes in, a data set out."""
