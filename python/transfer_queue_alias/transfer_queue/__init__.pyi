"""The public names and their types, for type checkers; at run time each loads on first use."""

from transfer_queue import client as client
from transfer_queue import controller as controller
from transfer_queue import dataloader as dataloader
from transfer_queue import interface as interface
from transfer_queue import metadata as metadata
from transfer_queue import sampler as sampler
from transfer_queue import storage as storage
from transfer_queue import utils as utils
from transfer_queue.controller import TransferQueueController as TransferQueueController
from transfer_queue.storage.simple_storage import SimpleStorageUnit as SimpleStorageUnit
from transfer_queue.utils.common import get_placement_group as get_placement_group
from transfer_queue.utils.zmq_utils import ZMQServerInfo as ZMQServerInfo
from transfer_queue.utils.zmq_utils import process_zmq_server_info as process_zmq_server_info
from transferqueue import *
