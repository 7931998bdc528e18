"""The metadata types, under the peer's path."""

from transferqueue import BatchMeta, KVBatchMeta
from transferqueue._sample_views import SampleView as _SampleView
from transferqueue._sample_views import SampleViews as _SampleViewList
from transferqueue.meta import extract_field_schema

__all__ = ["BatchMeta", "KVBatchMeta", "_SampleView", "_SampleViewList", "extract_field_schema"]
